// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Opening files and directories, by whatever call. */
#include "known.h"
#include "names.h"
#include "own_open.h"

SEC("lsm/file_open")
int BPF_PROG(on_open, struct file *file, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	bool ruled = governed(&s);
	__u32 flags = file->f_flags;
	if (flags & (O_WRONLY | O_RDWR | O_TRUNC) && belongs(s.label) &&
	    own_open(number(file), number(file->f_path.mnt)))
		return -EACCES;
	if (!ruled)
		return 0;
	__u32 mode = file->f_mode;
	struct dentry *dentry = file->f_path.dentry;
	/* An overlay's own handle on the layer below: the user's open has been judged. */
	if (mode & FMODE_NOACCOUNT || unlinked(dentry))
		return 0;
	if (!word(s.base + IMAGE_AT_READ))
		return 0;
	struct access a = {
		.base = s.base,
		.image = s.image,
		.dentry = (__u64)dentry,
		.mnt = (__u64)file->f_path.mnt,
		.owner = (__u64)file->f_inode,
		.row = known_row(&s, dentry, file->f_path.mnt),
		.operation = OP_OPEN,
		.flags = flags,
	};
	if (!(flags & (O_WRONLY | O_RDWR | O_TRUNC)) && no_plan(&s, IMAGE_AT_READ, a.row, file->f_inode))
		return 0;
	if (flags & (O_WRONLY | O_RDWR | O_TRUNC)) {
		a.change = 1;
		if (guard_names(&s, &a))
			return -EACCES;
		if (a.alerted)
			return 0;
		a.change = 0;
	}
	return mode & FMODE_READ && guard_names(&s, &a) ? -EACCES : 0;
}

SEC("lsm/inode_getattr")
int BPF_PROG(on_getattr, const struct path *path, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (!governed(&s))
		return 0;
	struct dentry *dentry = path->dentry;
	if (unlinked(dentry) || !word(s.base + IMAGE_AT_READ))
		return 0;
	struct access a = {
		.base = s.base,
		.image = s.image,
		.dentry = (__u64)dentry,
		.mnt = (__u64)path->mnt,
		.owner = (__u64)dentry->d_inode,
		.row = known_row(&s, dentry, path->mnt),
		.operation = OP_GETATTR,
		.metadata = 1,
	};
	if (no_plan(&s, IMAGE_AT_READ, a.row, dentry->d_inode))
		return 0;
	return guard_names(&s, &a) ? -EACCES : 0;
}
