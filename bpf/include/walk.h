/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a dentry and its mount to a row of the automaton: climb to the root of the mount namespace, then step the
 * names from the root down. Any depth, any length. A rename or mount in between makes the walk start again, as the
 * kernel's own d_path does.
 *
 * All that changes from one turn of a loop to the next lives in the task's scratch memory, of which the verifier
 * only knows that it is memory: so one turn proves them all.
 */
#ifndef KUBEARMOR_WALK_H
#define KUBEARMOR_WALK_H

#include "state.h"

#define WALK_OK 0
#define WALK_NO_NAME 1    /* pipes, sockets, memfds: path rules do not touch it */
#define WALK_UNRESOLVED 2 /* the namespace's root could not be reached */

#define WALK_TRIES 64
#define MAX_DEPTH 8192
#define MAX_TURNS (MAX_CLIMB * 8) /* a name has up to 255 bytes */
#define MAX_ERRNO 4095

extern const void rename_lock __ksym;
extern const void mount_lock __ksym;

/* What a loop's callback is given: the verifier wants it on the stack. */
struct loop {
	struct scratch *scratch;
};

static __always_inline struct mount *mount_of(const struct vfsmount *mnt)
{
	return (struct mount *)((char *)mnt - bpf_core_field_offset(struct mount, mnt));
}

static __always_inline bool is_error(const void *pointer)
{
	return (unsigned long)pointer >= (unsigned long)-MAX_ERRNO;
}

static __always_inline bool nameless(__u64 mount)
{
	return is_error(FIELD(struct mount, mount, mnt_ns)) ||
	       FIELD(struct mount, mount, mnt.mnt_flags) & MNT_INTERNAL;
}

/* Whether a mount hangs nowhere: its names begin at some directory of which nobody knows where it lies. */
static __always_inline bool detached(__u64 mount)
{
	struct mnt_namespace *namespace = FIELD(struct mount, mount, mnt_ns);
	if (!namespace)
		return true;
	struct mnt_namespace___numbered *numbered = (void *)namespace;
	if (bpf_core_field_exists(numbered->seq))
		return !FIELD(struct mnt_namespace___numbered, numbered, seq);
	struct mnt_namespace___identified *identified = (void *)namespace;
	return bpf_core_field_exists(identified->ns.ns_id) &&
	       !FIELD(struct mnt_namespace___identified, identified, ns.ns_id);
}

static __always_inline void begin_climb(struct climb *c, __u64 dentry, struct mount *mount)
{
	c->dentry = dentry;
	c->mount = (__u64)mount;
	c->status = WALK_UNRESOLVED;
	c->skip = 0;
	c->names = 0;
	c->stored = 0;
}

/* One step towards the root; 1 at the end. A name that was passed is `*passed`. */
static __always_inline long climb(struct climb *c, __u64 *passed)
{
	__u64 dentry = c->dentry;
	__u64 mount = c->mount;

	*passed = 0;
	if (dentry == (__u64)FIELD(struct mount, mount, mnt.mnt_root)) {
		__u64 above = (__u64)FIELD(struct mount, mount, mnt_parent);
		if (above == mount) {
			if (nameless(mount))
				c->status = WALK_NO_NAME;
			else if (!detached(mount))
				c->status = WALK_OK;
			return 1;
		}
		c->dentry = (__u64)FIELD(struct mount, mount, mnt_mountpoint);
		c->mount = above;
		return 0;
	}
	__u64 parent = (__u64)FIELD(struct dentry, dentry, d_parent);
	if (parent == dentry) {
		/* A root that is not its mount's root: disconnected, or a file system without names. */
		if (nameless(mount))
			c->status = WALK_NO_NAME;
		return 1;
	}
	*passed = dentry;
	c->dentry = parent;
	return 0;
}

static long climb_one(__u32 index, struct loop *loop)
{
	struct scratch *s = loop->scratch;
	struct climb *c = &s->climb;
	__u64 passed;
	long end = climb(c, &passed);
	if (passed) {
		__u32 stored = c->stored;
		if (c->names >= c->skip && stored < MAX_CLIMB) {
			s->up[stored & (MAX_CLIMB - 1)] = passed;
			c->stored = stored + 1;
		}
		c->names++;
	}
	return end;
}

static __always_inline void begin_names(struct names *n, __u32 base)
{
	n->base = base;
	n->map = IMAGE_MAP(base);
	n->row = word(base + IMAGE_AT_START);
	n->left = 0;
}

/* The row behind up to NAME_PIECE bytes of a name. `bytes` is for kernels without plain loads. */
static __always_inline __u32 step_name(__u32 base, __u32 map, __u32 row, __u64 name, __u32 len, __u64 *bytes)
{
	struct letters text = { .name = name, .bytes = bytes };
	if (!bpf_ksym_exists(bpf_rdonly_cast)) {
		bytes[0] = bytes[1] = bytes[2] = bytes[3] = 0;
		barrier_var(len);
		len &= 63;
		bpf_probe_read_kernel(bytes, len, (void *)name);
	}
	if (row & ROW_TABLE) {
		row = match_piece(base, row, text, len);
		if (!(row & ROW_INSIDE))
			return row;
	}
	/* NUL leads every row to itself. */
	MATCH_EIGHT(base, map, row, letters_at(text, 0, len));
	if (len > 8) {
		MATCH_EIGHT(base, map, row, letters_at(text, 8, len));
		if (len > 16) {
			MATCH_EIGHT(base, map, row, letters_at(text, 16, len));
			if (len > 24)
				MATCH_EIGHT(base, map, row, letters_at(text, 24, len));
		}
	}
	return row;
}

/* The next piece of a name. */
static __always_inline void step_some(struct names *n)
{
	__u32 len = n->left;
	if (!len)
		return;
	if (len > NAME_PIECE)
		len = NAME_PIECE;
	n->row = step_name(n->base, n->map, n->row, n->name, len, n->bytes);
	n->name += len;
	n->left -= len;
}

static __always_inline void step_slash(struct names *n)
{
	n->row = match_slash(n->base, n->row);
}

/* A piece at a turn: the next name, or more of a long one. */
static long descend_one(__u32 index, struct loop *loop)
{
	struct scratch *s = loop->scratch;
	struct names *n = &s->names;
	if (!n->left) {
		__u32 stored = s->climb.stored;
		if (!stored)
			return 1;
		s->climb.stored = stored - 1;
		__u64 dentry = s->up[(stored - 1) & (MAX_CLIMB - 1)];
		step_slash(n);
		n->left = FIELD(struct dentry, dentry, d_name.len);
		n->name = (__u64)FIELD(struct dentry, dentry, d_name.name);
	}
	step_some(n);
	return 0;
}

/* Names beyond MAX_CLIMB are stepped in portions, from the root down; each portion climbs again. */
static long walk_portion(__u32 index, struct loop *loop)
{
	struct scratch *s = loop->scratch;
	__u32 portions = (s->depth + MAX_CLIMB - 1) / MAX_CLIMB;
	if (index >= portions)
		return 1;
	begin_climb(&s->climb, s->dentry, (struct mount *)s->mount);
	s->climb.skip = (portions - 1 - index) * MAX_CLIMB;
	bpf_loop(MAX_DEPTH, climb_one, loop, 0);
	bpf_loop(MAX_TURNS, descend_one, loop, 0);
	return 0;
}

static __always_inline __u32 sequence(const void *lock)
{
	__u32 value = 1;
	if (bpf_ksym_exists(bpf_rdonly_cast)) {
		const struct seqcount *count =
			bpf_rdonly_cast(lock, bpf_core_type_id_kernel(struct seqcount));
		return count->sequence;
	}
	bpf_probe_read_kernel(&value, sizeof(value), lock);
	return value;
}

static long walk_once(__u32 index, struct loop *loop)
{
	struct scratch *s = loop->scratch;
	s->renames = sequence(&rename_lock);
	s->mounts = sequence(&mount_lock);
	begin_climb(&s->climb, s->dentry, (struct mount *)s->mount);
	bpf_loop(MAX_DEPTH, climb_one, loop, 0);
	begin_names(&s->names, s->base);
	s->depth = s->climb.names;
	s->status = s->climb.status;
	if (s->status == WALK_OK) {
		if (!s->depth && !s->prefix)
			step_slash(&s->names);
		else if (s->depth <= MAX_CLIMB)
			bpf_loop(MAX_TURNS, descend_one, loop, 0);
		else
			bpf_loop(MAX_DEPTH / MAX_CLIMB, walk_portion, loop, 0);
	}
	if ((s->renames | s->mounts) & 1 || s->renames != sequence(&rename_lock) ||
	    s->mounts != sequence(&mount_lock)) {
		s->status = WALK_UNRESOLVED;
		return 0;
	}
	return 1;
}

/*
 * Fills row and status. A function of its own for the verifier (it is not static), so that it is proved once and
 * not once for every way that leads to it.
 */
__noinline int resolve(struct target *t)
{
	struct loop loop;
	if (!t)
		return WALK_UNRESOLVED;
	t->row = 0;
	t->status = WALK_UNRESOLVED;
	loop.scratch = bpf_task_storage_get(&scratches, bpf_get_current_task_btf(), 0,
					    BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!loop.scratch)
		return WALK_UNRESOLVED;
	loop.scratch->dentry = t->dentry;
	loop.scratch->mount = (__u64)mount_of((struct vfsmount *)t->mnt);
	loop.scratch->base = t->base;
	loop.scratch->prefix = t->prefix;
	bpf_loop(WALK_TRIES, walk_once, &loop, 0);
	t->row = loop.scratch->names.row;
	t->status = loop.scratch->status;
	return t->status;
}

/* A name that was removed while somebody still holds the object. */
static __always_inline bool unlinked(const struct dentry *dentry)
{
	return !dentry->d_hash.pprev && dentry->d_parent != dentry;
}

/* The same where all we have is a number. */
static __always_inline bool probed_unlinked(const struct dentry *dentry)
{
	return !BPF_CORE_READ(dentry, d_hash.pprev) && BPF_CORE_READ(dentry, d_parent) != dentry;
}

#endif
