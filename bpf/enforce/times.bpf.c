// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Setting a file's times, as the hook is called since 6.9. */
#include "times.h"

SEC("lsm/inode_setattr")
int BPF_PROG(on_setattr, struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attributes, int ret)
{
	return ret ? ret : guard_times(dentry, attributes);
}
