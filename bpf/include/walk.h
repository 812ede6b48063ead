/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a dentry and its mount to a row of the automaton: climb to the root of the mount namespace, then step the
 * names from the root down. Any depth, any length. A rename or mount in between makes the walk start again, as the
 * kernel's own d_path does.
 */
#ifndef KUBEARMOR_WALK_H
#define KUBEARMOR_WALK_H

#include "state.h"

#define WALK_OK 0
#define WALK_NO_NAME 1    /* pipes, sockets, memfds: path rules do not touch it */
#define WALK_UNRESOLVED 2 /* the namespace's root could not be reached */

#define WALK_TRIES 64
#define MAX_DEPTH 8192
#define MAX_ERRNO 4095

extern const void rename_lock __ksym;
extern const void mount_lock __ksym;

struct climb {
	struct dentry *dentry;
	struct mount *mount;
	struct scratch *scratch; /* NULL: only count */
	__u32 skip;              /* names nearest to the leaf that are not stored */
	__u32 names;
	__u32 stored;
	__u32 status;
};

static __always_inline struct mount *mount_of(const struct vfsmount *mnt)
{
	return (struct mount *)((char *)mnt - bpf_core_field_offset(struct mount, mnt));
}

static __always_inline bool is_error(const void *pointer)
{
	return (unsigned long)pointer >= (unsigned long)-MAX_ERRNO;
}

static long climb_one(__u32 index, struct climb *c)
{
	struct dentry *dentry = c->dentry;
	struct mount *mount = c->mount;

	if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
		struct mount *parent = BPF_CORE_READ(mount, mnt_parent);
		if (parent == mount) {
			struct mnt_namespace *ns = BPF_CORE_READ(mount, mnt_ns);
			if (is_error(ns) || BPF_CORE_READ(mount, mnt.mnt_flags) & MNT_INTERNAL)
				c->status = WALK_NO_NAME;
			else if (ns)
				c->status = WALK_OK;
			return 1;
		}
		c->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		c->mount = parent;
		return 0;
	}
	struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
	if (parent == dentry) {
		/* A root that is not its mount's root: disconnected, or a file system without names. */
		struct mnt_namespace *ns = BPF_CORE_READ(mount, mnt_ns);
		if (is_error(ns) || BPF_CORE_READ(mount, mnt.mnt_flags) & MNT_INTERNAL)
			c->status = WALK_NO_NAME;
		return 1;
	}
	if (c->scratch && c->names >= c->skip && c->stored < MAX_CLIMB) {
		c->scratch->up[c->stored & (MAX_CLIMB - 1)] = (__u64)dentry;
		c->stored++;
	}
	c->names++;
	c->dentry = parent;
	return 0;
}

struct names {
	__u32 base;
	__u32 map; /* byte offset of the byte class map */
	__u32 row;
	__u32 stored;
	struct scratch *scratch;
	const unsigned char *name;
	__u32 left;
};

#define STEP(n, byte)                                                                    \
	(n)->row = word((n)->base + (n)->row +                                           \
			((__u8 *)arena)[((n)->map + (__u8)(byte)) & (ARENA_WORDS * 4 - 1)])
#define STEP_EIGHT(n, eight)                                                             \
	do {                                                                             \
		__u64 e = (eight);                                                       \
		STEP(n, e);                                                              \
		STEP(n, e >> 8);                                                         \
		STEP(n, e >> 16);                                                        \
		STEP(n, e >> 24);                                                        \
		STEP(n, e >> 32);                                                        \
		STEP(n, e >> 40);                                                        \
		STEP(n, e >> 48);                                                        \
		STEP(n, e >> 56);                                                        \
	} while (0)

static __always_inline void begin_names(struct names *n, __u32 base, struct scratch *scratch)
{
	n->base = base;
	n->map = (base + word(base + IMAGE_AT_BYTECLASS)) << 2;
	n->row = word(base + IMAGE_AT_START);
	n->scratch = scratch;
}

/* Thirty-two bytes of a name; what is beyond its end reads as NUL, which leads every row to itself. */
static long step_chunk(__u32 index, struct names *n)
{
	__u64 b[4] = {};
	__u32 len = n->left;
	if (!len)
		return 1;
	if (len > 32)
		len = 32;
	bpf_probe_read_kernel(b, len, n->name);
	STEP_EIGHT(n, b[0]);
	if (len > 8) {
		STEP_EIGHT(n, b[1]);
		if (len > 16) {
			STEP_EIGHT(n, b[2]);
			STEP_EIGHT(n, b[3]);
		}
	}
	n->name += len;
	n->left -= len;
	return 0;
}

static __noinline void step_name(struct names *n, struct dentry *dentry)
{
	STEP(n, '/');
	n->left = BPF_CORE_READ(dentry, d_name.len);
	n->name = BPF_CORE_READ(dentry, d_name.name);
	if (n->left <= 32)
		step_chunk(0, n);
	else
		bpf_loop(8, step_chunk, n, 0);
}

static long descend_one(__u32 index, struct names *n)
{
	if (index >= n->stored)
		return 1;
	__u32 at = (n->stored - 1 - index) & (MAX_CLIMB - 1);
	step_name(n, (struct dentry *)n->scratch->up[at]);
	return 0;
}

struct walk {
	struct dentry *dentry;
	struct vfsmount *mnt;
	struct scratch *scratch;
	__u32 base;
	__u32 row;    /* out */
	__u32 status; /* out */
	__u32 done;
	__u32 names;
	struct names n;
};

/* Names beyond MAX_CLIMB are stepped in portions, from the root down; each portion climbs again. */
static long walk_portion(__u32 index, struct walk *w)
{
	__u32 portions = (w->names + MAX_CLIMB - 1) / MAX_CLIMB;
	if (index >= portions)
		return 1;
	struct climb c = {
		.dentry = w->dentry,
		.mount = mount_of(w->mnt),
		.scratch = w->scratch,
		.skip = (portions - 1 - index) * MAX_CLIMB,
		.status = WALK_UNRESOLVED,
	};
	bpf_loop(MAX_DEPTH, climb_one, &c, 0);
	w->n.stored = c.stored;
	bpf_loop(MAX_CLIMB, descend_one, &w->n, 0);
	return 0;
}

static __always_inline __u32 sequence(const void *lock)
{
	__u32 value = 1;
	bpf_probe_read_kernel(&value, sizeof(value), lock);
	return value;
}

static long walk_once(__u32 index, struct walk *w)
{
	__u32 renames = sequence(&rename_lock);
	__u32 mounts = sequence(&mount_lock);
	struct climb c = {
		.dentry = w->dentry,
		.mount = mount_of(w->mnt),
		.scratch = w->scratch,
		.status = WALK_UNRESOLVED,
	};
	bpf_loop(MAX_DEPTH, climb_one, &c, 0);
	begin_names(&w->n, w->base, w->scratch);
	w->names = c.names;
	if (c.status == WALK_OK) {
		if (!c.names) {
			STEP(&w->n, '/');
		} else if (c.names <= MAX_CLIMB) {
			w->n.stored = c.stored;
			bpf_loop(MAX_CLIMB, descend_one, &w->n, 0);
		} else {
			bpf_loop(MAX_DEPTH / MAX_CLIMB, walk_portion, w, 0);
		}
	}
	if ((renames & 1) || (mounts & 1) || renames != sequence(&rename_lock) ||
	    mounts != sequence(&mount_lock))
		return 0;
	w->status = c.status;
	w->row = w->n.row;
	w->done = 1;
	return 1;
}

/* Fills w->row and w->status from dentry, mnt and base. */
static __noinline void walk(struct walk *w, struct task_struct *task)
{
	w->status = WALK_UNRESOLVED;
	w->row = 0;
	w->scratch = bpf_task_storage_get(&scratches, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!w->scratch)
		return;
	bpf_loop(WALK_TRIES, walk_once, w, 0);
}

/* A name that was removed while somebody still holds the object. */
static __always_inline bool unlinked(const struct dentry *dentry)
{
	return !BPF_CORE_READ(dentry, d_hash.pprev) && BPF_CORE_READ(dentry, d_parent) != dentry;
}

static __always_inline __u32 path_class(__u32 base, __u32 row)
{
	return word(base + row) & ROW_CLASS_MASK;
}

#endif
