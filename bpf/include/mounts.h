/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hooks that name a dentry without its mount: the object is judged through every mount of its file system that the
 * subject's namespace has and that shows it.
 */
#ifndef KUBEARMOR_MOUNTS_H
#define KUBEARMOR_MOUNTS_H

#include "guard.h"

#define MOUNTS_MAX 4096

struct mounts_loop {
	struct scratch *scratch;
	__u64 head;
	__u64 cursor;
	__u64 namespace;
	__u32 denied;
};

/* Known when the program is loaded, so the other way's code is gone by then. */
static __always_inline bool chained(void)
{
	return bpf_core_field_exists(((struct mount___chained *)0)->mnt_next_for_sb);
}

static long guard_through(__u32 index, struct mounts_loop *l)
{
	struct mount *mount;
	if (chained()) {
		mount = (struct mount *)l->cursor;
		if (!mount)
			return 1;
		struct mount___chained *next = (void *)mount;
		l->cursor = (__u64)BPF_CORE_READ(next, mnt_next_for_sb);
	} else {
		if (l->cursor == l->head || !l->cursor)
			return 1;
		mount = (struct mount *)(l->cursor - bpf_core_field_offset(struct mount, mnt_instance));
		struct list_head *link = (struct list_head *)l->cursor;
		l->cursor = (__u64)BPF_CORE_READ(link, next);
	}
	if ((__u64)BPF_CORE_READ(mount, mnt_ns) != l->namespace)
		return 0;
	l->scratch->access.mnt = (__u64)mount + bpf_core_field_offset(struct mount, mnt);
	if (!guard(&l->scratch->access))
		return 0;
	l->denied = 1;
	return 1;
}

/* 0 or a negative errno for a change of the object behind a dentry. */
static __always_inline int guard_dentry(struct subject *s, struct dentry *dentry, __u16 operation)
{
	struct super_block *sb = BPF_CORE_READ(dentry, d_sb);
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
	a->owner = (__u64)BPF_CORE_READ(dentry, d_inode);
	a->change = 1;
	a->guessed = 1;
	a->operation = operation;
	struct task_struct *task = s->task;
	l.namespace = (__u64)BPF_CORE_READ(task, nsproxy, mnt_ns);
	if (chained()) {
		struct super_block___chained *first = (void *)sb;
		l.cursor = (__u64)BPF_CORE_READ(first, s_mounts);
	} else {
		l.head = (__u64)sb + bpf_core_field_offset(struct super_block, s_mounts);
		struct list_head *head = (struct list_head *)l.head;
		l.cursor = (__u64)BPF_CORE_READ(head, next);
	}
	bpf_loop(MOUNTS_MAX, guard_through, &l, 0);
	return l.denied ? -EACCES : 0;
}

#endif
