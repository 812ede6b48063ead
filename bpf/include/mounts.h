/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hooks that name a dentry without its mount: the object is judged through every mount of its file system that the
 * subject's namespace has and that shows it.
 */
#ifndef KUBEARMOR_MOUNTS_H
#define KUBEARMOR_MOUNTS_H

#include "guard.h"
#include "mount_chain.h"

struct mounts_loop {
	struct scratch *scratch;
	struct mounts mounts;
	__u64 namespaces[2];
	__u32 denied;
};

static long guard_through(__u32 index, struct mounts_loop *l)
{
	__u64 mount = next_mount(&l->mounts);
	if (!mount)
		return 1;
	__u64 namespace = number(FIELD(struct mount, mount, mnt_ns));
	if (namespace != l->namespaces[0] && namespace != l->namespaces[1])
		return 0;
	l->scratch->access.mnt = vfsmount_of(mount);
	if (!guard(&l->scratch->access))
		return 0;
	l->denied = 1;
	return 1;
}

/* 0 or a negative errno for a change of the object behind a dentry. */
static __always_inline int guard_dentry(struct subject *s, struct dentry *dentry, __u16 operation)
{
	struct mounts_loop l = {
		.scratch = bpf_task_storage_get(&scratches, s->task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE),
	};
	if (!l.scratch)
		return -EACCES;
	struct access *a = &l.scratch->access;
	__builtin_memset(a, 0, sizeof(*a));
	a->base = s->base;
	a->image = s->image;
	a->dentry = number(dentry);
	a->owner = (__u64)FIELD(struct dentry, dentry, d_inode);
	a->change = 1;
	a->guessed = 1;
	a->operation = operation;
	begin_mounts(&l.mounts, number(FIELD(struct dentry, dentry, d_sb)));
	l.namespaces[0] = number(s->task->nsproxy->mnt_ns);
	l.namespaces[1] = s->mounts ? s->mounts : l.namespaces[0];
	bpf_loop(MOUNTS_MAX, guard_through, &l, 0);
	if (l.denied)
		return -EACCES;
	const struct alias *alias = alias_of(s->base, s->image, (const struct inode *)a->owner);
	a->other = 1;
	if (alias)
		for (int i = 0; i < ALIAS_ROWS; i++) {
			a->row = alias->rows[i];
			if (a->row && guard(a))
				return -EACCES;
		}
	return 0;
}

#endif
