// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Access control lists, where they have hooks of their own (6.2 and later; before they are extended attributes). */
#include "mounts.h"
#include "own.h"

struct posix_acl;

SEC("lsm/inode_set_acl")
int BPF_PROG(on_set_acl, struct mnt_idmap *idmap, struct dentry *dentry, const char *name,
	     struct posix_acl *acl, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (own_alter(dentry, OP_SETXATTR))
		return -EACCES;
	return governed(&s) && guard_dentry(&s, dentry, OP_SETXATTR) ? -EACCES : 0;
}

SEC("lsm/inode_remove_acl")
int BPF_PROG(on_remove_acl, struct mnt_idmap *idmap, struct dentry *dentry, const char *name, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (own_alter(dentry, OP_SETXATTR))
		return -EACCES;
	return governed(&s) && guard_dentry(&s, dentry, OP_SETXATTR) ? -EACCES : 0;
}
