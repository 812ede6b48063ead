/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A file's times, set on their own: mode, owner and size have hooks with a path. What is the agent's own is guarded
 * here against all of them.
 */
#ifndef KUBEARMOR_TIMES_H
#define KUBEARMOR_TIMES_H

#include "mounts.h"
#include "own.h"

static __always_inline int guard_times(struct dentry *dentry, struct iattr *attributes)
{
	struct subject s = {};
	unsigned int valid = BPF_CORE_READ(attributes, ia_valid);
	int denied = own_alter(dentry, valid & ATTR_SIZE             ? OP_TRUNCATE :
				       valid & ATTR_MODE             ? OP_CHMOD :
				       valid & (ATTR_UID | ATTR_GID) ? OP_CHOWN :
								       OP_UTIMES);
	if (denied)
		return denied;
	if (!(valid & (ATTR_ATIME | ATTR_MTIME)) ||
	    valid & (ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_SIZE))
		return 0;
	return governed(&s) && guard_dentry(&s, dentry, OP_UTIMES) ? -EACCES : 0;
}

#endif
