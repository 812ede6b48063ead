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

struct names_loop {
	struct scratch *scratch;
	struct mounts mounts;
	__u64 namespace;
	__u64 used;
	__u32 denied;
};

static long guard_other(__u32 index, struct names_loop *l)
{
	__u64 mount = next_mount(&l->mounts);
	if (!mount)
		return 1;
	__u64 mnt = vfsmount_of(mount);
	if (mnt == l->used || number(FIELD(struct mount, mount, mnt_ns)) != l->namespace)
		return 0;
	l->scratch->access.mnt = mnt;
	l->denied = !!guard(&l->scratch->access);
	return l->denied;
}

/* The names that were not used. `a` is in the task's scratch memory. */
static __always_inline int guard_others(__u64 namespace, struct scratch *scratch, const struct alias *alias)
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
	struct names_loop l = { .scratch = scratch, .namespace = namespace, .used = a->mnt };
	a->row = 0;
	a->guessed = 1;
	begin_mounts(&l.mounts, number(FIELD(struct dentry, a->dentry, d_sb)));
	bpf_loop(MOUNTS_MAX, guard_other, &l, 0);
	return l.denied ? -EACCES : 0;
}

/* 0, or a negative errno; reports what is to be reported. */
static __always_inline int guard_names(const struct subject *s, struct access *a)
{
	if (guard(a))
		return -EACCES;
	const struct alias *alias = alias_of(s->base, s->image, (const struct inode *)a->owner);
	__u64 namespace = a->lost ? slots[s->label->slot & SLOT_MASK].mounts : s->mounts;
	if (!alias && !namespace)
		return 0;
	struct scratch *scratch = bpf_task_storage_get(&scratches, s->task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!scratch)
		return -EACCES;
	if (a != &scratch->access)
		scratch->access = *a;
	return guard_others(namespace, scratch, alias);
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
	struct access a = {
		.base = s.base,
		.image = s.image,
		.dentry = (__u64)dentry,
		.mnt = (__u64)file->f_path.mnt,
		.owner = (__u64)file->f_inode,
		.change = 1,
		.operation = operation,
	};
	return guard_names(&s, &a) ? -EACCES : 0;
}

#endif
