/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * File rules by all names of an object: the one by which it was reached, the hard links that rules name, and where it
 * lies by the mounts of the container, once somebody in there has mounted something or has left for other mounts. Only
 * a rule's denial counts by names that were not used.
 */
#ifndef KUBEARMOR_NAMES_H
#define KUBEARMOR_NAMES_H

#include "guard.h"
#include "mount_chain.h"

static long guard_other(__u32 index, struct loop *loop)
{
	struct elsewhere *e = &loop->scratch->elsewhere;
	__u64 mnt;
	if (!next_elsewhere(e, &mnt))
		return 1;
	if (!mnt)
		return 0;
	struct access *a = &loop->scratch->access;
	a->mnt = mnt;
	if (guard(a)) {
		e->denied = 1;
		return 1;
	}
	/* Once told, only a denial is news. */
	if (a->alerted)
		a->other = 1;
	return 0;
}

/* The names that were not used. */
static __always_inline int guard_others(struct scratch *scratch, __u64 namespace, const struct alias *alias)
{
	struct access *a = &scratch->access;
	a->other = 1;
	if (alias)
		for (int i = 0; i < ALIAS_ROWS; i++) {
			a->row = alias->rows[i];
			if (a->row && guard(a))
				return -EACCES;
		}
	if (!namespace)
		return 0;
	struct loop loop = { .scratch = scratch };
	a->row = 0;
	a->guessed = 1;
	begin_elsewhere(&scratch->elsewhere, a->dentry, namespace);
	scratch->elsewhere.used = a->mnt;
	bpf_loop(MOUNTS_MAX, guard_other, &loop, 0);
	return scratch->elsewhere.denied ? -EACCES : 0;
}

/* 0, or a negative errno, for the access in the task's scratch memory; reports what is to be reported. */
static __always_inline int guard_names(const struct subject *s, struct scratch *scratch)
{
	struct access *a = &scratch->access;
	if (guard(a))
		return -EACCES;
	const struct alias *alias = alias_of(s->base, s->image, (const struct inode *)a->owner);
	__u64 namespace = a->lost ? slots[s->label->slot & SLOT_MASK].mounts : s->mounts;
	return alias || namespace ? guard_others(scratch, namespace, alias) : 0;
}

/* A change of an open file by a call that asks for no permission to write. */
static __always_inline int guard_open_file(struct file *file, __u16 operation)
{
	struct subject s = {};
	if (!governed(&s))
		return 0;
	struct dentry *dentry = file->f_path.dentry;
	if (unlinked(dentry))
		return 0;
	struct scratch *scratch = new_access(&s, operation);
	if (!scratch)
		return -EACCES;
	struct access *a = &scratch->access;
	a->dentry = (__u64)dentry;
	a->mnt = (__u64)file->f_path.mnt;
	a->owner = (__u64)file->f_inode;
	a->change = 1;
	return guard_names(&s, scratch) ? -EACCES : 0;
}

#endif
