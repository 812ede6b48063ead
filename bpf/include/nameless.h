/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files that nobody finds by a path: memfds, shared memory, deleted files, files that never had a name. */
#ifndef KUBEARMOR_NAMELESS_H
#define KUBEARMOR_NAMELESS_H

#include "walk.h"

/* By the file alone: the handle that an overlay keeps on the layer below has a mount that tells nothing. */
static __always_inline bool has_no_name(const struct file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	return BPF_CORE_READ(dentry, d_sb, s_flags) & (SB_KERNMOUNT | SB_NOUSER) || probed_unlinked(dentry);
}

#endif
