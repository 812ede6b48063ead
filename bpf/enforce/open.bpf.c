// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Opening files and directories, by whatever call. */
#include "known.h"
#include "names.h"
#include "own_open.h"

static __always_inline struct scratch *opened(const struct subject *s, struct file *file, __u32 row)
{
	struct scratch *scratch = new_access(s, OP_OPEN);
	if (!scratch)
		return NULL;
	struct access *a = &scratch->access;
	a->dentry = (__u64)file->f_path.dentry;
	a->mnt = (__u64)file->f_path.mnt;
	a->owner = (__u64)file->f_inode;
	a->row = row;
	a->flags = file->f_flags;
	return scratch;
}

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
	__u32 row = known_row(&s, dentry, file->f_path.mnt);
	if (!(flags & (O_WRONLY | O_RDWR | O_TRUNC)) && no_plan(&s, IMAGE_AT_READ, row, file->f_inode))
		return 0;
	if (flags & (O_WRONLY | O_RDWR | O_TRUNC)) {
		struct scratch *scratch = opened(&s, file, row);
		if (!scratch)
			return -EACCES;
		scratch->access.change = 1;
		if (guard_names(&s, scratch))
			return -EACCES;
		if (scratch->access.alerted)
			return 0;
	}
	if (!(mode & FMODE_READ))
		return 0;
	struct scratch *scratch = opened(&s, file, row);
	return !scratch || guard_names(&s, scratch) ? -EACCES : 0;
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
	__u32 row = known_row(&s, dentry, path->mnt);
	if (no_plan(&s, IMAGE_AT_READ, row, dentry->d_inode))
		return 0;
	struct scratch *scratch = new_access(&s, OP_GETATTR);
	if (!scratch)
		return -EACCES;
	struct access *a = &scratch->access;
	a->dentry = (__u64)dentry;
	a->mnt = (__u64)path->mnt;
	a->owner = (__u64)dentry->d_inode;
	a->row = row;
	a->metadata = 1;
	return guard_names(&s, scratch) ? -EACCES : 0;
}
