/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Opening for writing what is the agent's own, by its name or past all names. */
#ifndef KUBEARMOR_OWN_OPEN_H
#define KUBEARMOR_OWN_OPEN_H

#include "own.h"

/* drivers/char/mem.c: all memory, the kernel's memory, all ports */
#define DEVICE_MEM (1 << 20 | 1)
#define DEVICE_KMEM (1 << 20 | 2)
#define DEVICE_PORT (1 << 20 | 4)

/* An inode of procfs that is of the agent. */
static __always_inline bool of_the_agent(const struct inode *inode)
{
	struct proc_inode *entry =
		(struct proc_inode *)((char *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode));
	char *link = (char *)BPF_CORE_READ(entry, pid, tasks[0].first);
	return link &&
	       is_agent((struct task_struct *)(link - bpf_core_field_offset(struct task_struct, pid_links)));
}

/* Whoever writes there ends every process, or the machine. */
static __always_inline bool of_sysrq(struct dentry *dentry)
{
	static const char trigger[] = "sysrq-trigger";
	char name[sizeof(trigger)];
	return BPF_CORE_READ(dentry, d_name.len) == sizeof(trigger) - 1 &&
	       !bpf_probe_read_kernel(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name)) &&
	       !bpf_strncmp(name, sizeof(trigger) - 1, trigger);
}

static __always_inline bool reaches_all_memory(__u32 device)
{
	return device == DEVICE_MEM || device == DEVICE_KMEM || device == DEVICE_PORT;
}

/* Before 6.8 a file of a layer that an overlay opens for itself has the overlay's path. */
static __always_inline struct dentry *name_of(struct dentry *dentry, struct inode *inode)
{
	struct dentry___chained *chained = NULL;
	if (BPF_CORE_READ(dentry, d_inode) == inode || !bpf_core_field_exists(chained->d_u.d_alias))
		return dentry;
	char *link = (char *)BPF_CORE_READ(inode, i_dentry.first);
	return link ? (struct dentry *)(link - bpf_core_field_offset(chained->d_u.d_alias)) : dentry;
}

__noinline int own_open(__u64 file_, __u64 mnt)
{
	struct file *file = (struct file *)file_;
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	__u32 type = BPF_CORE_READ(inode, i_mode) & S_IFMT;
	__u32 device = BPF_CORE_READ(inode, i_rdev);
	bool own;

	if (type == S_IFBLK)
		own = own_marks(0, device) & OWN_DISK;
	else if (type == S_IFCHR)
		own = reaches_all_memory(device);
	else if (BPF_CORE_READ(inode, i_sb, s_magic) == PROC_SUPER_MAGIC)
		own = of_the_agent(inode) || of_sysrq(dentry);
	else
		own = own_standing((__u64)name_of(dentry, inode)) & (OWN_WHOLE | OWN_GROUP);
	return own ? own_refuse((__u64)dentry, mnt, OP_OPEN, EACCES) : 0;
}

#endif
