// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Setting a file's times, as the hook was called before 6.9: without the mount's id map. */
#include "times.h"

SEC("lsm/inode_setattr")
int BPF_PROG(on_setattr_plain, struct dentry *dentry, struct iattr *attributes, int ret)
{
	return ret ? ret : guard_times(dentry, attributes);
}
