// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Extended attributes: setting and removing them. */
#include "mounts.h"
#include "own.h"

SEC("lsm/inode_setxattr")
int BPF_PROG(on_setxattr, struct mnt_idmap *idmap, struct dentry *dentry, const char *name,
	     const void *value, __u64 size, int flags, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (own_alter(dentry, OP_SETXATTR))
		return -EACCES;
	return governed(&s) && guard_dentry(&s, dentry, OP_SETXATTR) ? -EACCES : 0;
}

SEC("lsm/inode_removexattr")
int BPF_PROG(on_removexattr, struct mnt_idmap *idmap, struct dentry *dentry, const char *name, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (own_alter(dentry, OP_SETXATTR))
		return -EACCES;
	return governed(&s) && guard_dentry(&s, dentry, OP_SETXATTR) ? -EACCES : 0;
}
