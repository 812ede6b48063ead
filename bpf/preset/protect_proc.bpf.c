// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * `protectProc`: what lies in the directories that other processes have in procfs. Opening anything there, and reading
 * or following its links, which lead to a process's files, root and program. Files that are no process's stay open.
 */
#include "procfs.h"

#define MAX_ENTRY_DEPTH 32

/* Of everything below a process's directory, also of what the kernel keeps there for all, such as net/tcp. */
static __always_inline bool below_another_process(struct task_struct *task, struct dentry *dentry)
{
	struct dentry *entry = dentry;
	for (int i = 0; i < MAX_ENTRY_DEPTH; i++) {
		struct dentry *parent = BPF_CORE_READ(entry, d_parent);
		if (parent == entry)
			return false;
		if (BPF_CORE_READ(parent, d_parent) == parent)
			return of_another_process(task, BPF_CORE_READ(entry, d_inode));
		entry = parent;
	}
	return true;
}

static __always_inline int judge_use(struct dentry *dentry)
{
	struct subject s = {};
	if (!watched(&s, PRESET_PROTECT_PROC) || !below_another_process(s.task, dentry))
		return 0;
	return judge_entry(&s, PRESET_PROTECT_PROC, OP_PROTECT_PROC, dentry);
}

SEC("lsm/file_open")
int BPF_PROG(preset_protect_proc, struct file *file, int ret)
{
	if (ret)
		return ret;
	return of_procfs(file->f_inode) ? judge_use(file->f_path.dentry) : 0;
}

SEC("lsm/inode_follow_link")
int BPF_PROG(preset_protect_proc_follow, struct dentry *dentry, struct inode *inode, bool rcu, int ret)
{
	if (ret)
		return ret;
	return of_procfs(inode) ? judge_use(dentry) : 0;
}

SEC("lsm/inode_readlink")
int BPF_PROG(preset_protect_proc_readlink, struct dentry *dentry, int ret)
{
	if (ret)
		return ret;
	struct inode *inode = dentry->d_inode;
	return inode && of_procfs(inode) ? judge_use(dentry) : 0;
}
