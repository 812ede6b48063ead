/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A file's times, set on their own: mode, owner and size have hooks with a path. */
#ifndef KUBEARMOR_TIMES_H
#define KUBEARMOR_TIMES_H

#include "mounts.h"

static __always_inline int guard_times(struct dentry *dentry, struct iattr *attributes)
{
	struct subject s = {};
	unsigned int valid = BPF_CORE_READ(attributes, ia_valid);
	if (!(valid & (ATTR_ATIME | ATTR_MTIME)) ||
	    valid & (ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_SIZE))
		return 0;
	return governed(&s) && guard_dentry(&s, dentry, OP_UTIMES) ? -EACCES : 0;
}

#endif
