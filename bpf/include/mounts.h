/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hooks that name a dentry without its mount: the object is judged through every mount of its file system that the
 * subject's namespace has and that shows it.
 */
#ifndef KUBEARMOR_MOUNTS_H
#define KUBEARMOR_MOUNTS_H

#include "names.h"

/* 0 or a negative errno for a change of the object behind a dentry. */
static __always_inline int guard_dentry(struct subject *s, struct dentry *dentry, __u16 operation)
{
	struct loop loop = { .scratch = new_access(s, operation) };
	if (!loop.scratch)
		return -EACCES;
	struct access *a = &loop.scratch->access;
	a->dentry = number(dentry);
	a->owner = (__u64)FIELD(struct dentry, dentry, d_inode);
	a->change = 1;
	a->guessed = 1;
	struct elsewhere *e = &loop.scratch->elsewhere;
	__u64 own = number(s->task->nsproxy->mnt_ns);
	begin_elsewhere(e, a->dentry, own);
	bpf_loop(MOUNTS_MAX, guard_other, &loop, 0);
	if (e->denied)
		return -EACCES;
	a->other = 1;
	if (s->mounts && s->mounts != own) {
		begin_elsewhere(e, a->dentry, s->mounts);
		bpf_loop(MOUNTS_MAX, guard_other, &loop, 0);
		if (e->denied)
			return -EACCES;
	}
	const struct alias *alias = alias_of(s->base, s->image, (const struct inode *)a->owner);
	if (alias)
		for (int i = 0; i < ALIAS_ROWS; i++) {
			a->row = alias->rows[i];
			if (a->row && guard(a))
				return -EACCES;
		}
	return 0;
}

#endif
