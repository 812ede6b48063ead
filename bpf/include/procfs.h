/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Entries of processes in procfs: found by the inode and never by a path, so it does not matter where it is mounted. */
#ifndef KUBEARMOR_PROCFS_H
#define KUBEARMOR_PROCFS_H

#include "preset.h"

static __always_inline bool of_procfs(const struct inode *inode)
{
	return inode->i_sb->s_magic == PROC_SUPER_MAGIC;
}

/* Whether the inode belongs to the entry of a process (or thread of a process) that is not the task's own. */
static __always_inline bool of_another_process(struct task_struct *task, const struct inode *inode)
{
	struct proc_inode *entry =
		(struct proc_inode *)((char *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode));
	struct pid *pid = BPF_CORE_READ(entry, pid);
	if (!pid)
		return false;
	char *link = (char *)BPF_CORE_READ(pid, tasks[0].first);
	if (!link)
		return true; /* it has ended, which the subject has not */
	struct task_struct *its =
		(struct task_struct *)(link - bpf_core_field_offset(struct task_struct, pid_links));
	return number(BPF_CORE_READ(its, group_leader)) != number(BPF_CORE_READ(task, group_leader));
}

static __always_inline int judge_entry(struct subject *s, __u32 preset, __u16 operation, struct dentry *dentry)
{
	struct act act = {
		.dentry = number(dentry),
		.base = s->base,
		.image = s->image,
		.preset = preset,
		.operation = operation,
		.flags = RECORD_PROCFS,
	};
	return judge_act(&act) ? -EACCES : 0;
}

#endif
