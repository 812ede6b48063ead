// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* File attributes such as flags and project, set by path (6.17 and later; before there are only requests). */
#include "mounts.h"
#include "own.h"

struct file_kattr;

SEC("lsm/inode_file_setattr")
int BPF_PROG(on_file_setattr, struct dentry *dentry, struct file_kattr *attributes, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (own_alter(dentry, OP_SETATTR))
		return -EACCES;
	return governed(&s) && guard_dentry(&s, dentry, OP_SETATTR) ? -EACCES : 0;
}
