// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Opening files and directories, by whatever call. */
#include "guard.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("lsm/file_open")
int BPF_PROG(on_open, struct file *file, int ret)
{
	struct access a = {};
	if (ret)
		return ret;
	if (!governed(&a.s))
		return 0;
	__u32 flags = BPF_CORE_READ(file, f_flags);
	__u32 mode = BPF_CORE_READ(file, f_mode);
	/* An overlay's own handle on the layer below: the user's open has been judged. */
	if (mode & FMODE_NOACCOUNT)
		return 0;
	a.dentry = BPF_CORE_READ(file, f_path.dentry);
	a.mnt = BPF_CORE_READ(file, f_path.mnt);
	a.owner = BPF_CORE_READ(file, f_inode);
	a.operation = OP_OPEN;
	a.flags = flags;
	if (unlinked(a.dentry))
		return 0;
	if (flags & (O_WRONLY | O_RDWR | O_TRUNC)) {
		a.change = 1;
		int denied = guard(&a);
		if (denied || a.alerted)
			return denied;
		a.change = 0;
	}
	if (mode & FMODE_READ)
		return guard(&a);
	return 0;
}

SEC("lsm/inode_getattr")
int BPF_PROG(on_getattr, const struct path *path, int ret)
{
	struct access a = {};
	if (ret)
		return ret;
	if (!governed(&a.s))
		return 0;
	a.dentry = path->dentry;
	a.mnt = path->mnt;
	a.owner = BPF_CORE_READ(path, dentry, d_inode);
	a.operation = OP_GETATTR;
	a.metadata = 1;
	if (unlinked(a.dentry))
		return 0;
	return guard(&a);
}
