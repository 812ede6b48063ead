/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The short way to a row: from the kept row of the object's directory, only the last name is stepped. So the cost of
 * an open does not depend on how deep the file lies.
 */
#ifndef KUBEARMOR_KNOWN_H
#define KUBEARMOR_KNOWN_H

#include "walk.h"

static __always_inline __u64 mix(const struct directory *d)
{
	__u64 h = d->dentry * 0x9e3779b97f4a7c15ull;
	h = (h ^ d->mnt) * 0x9e3779b97f4a7c15ull;
	h = (h ^ d->inode) * 0x9e3779b97f4a7c15ull;
	h = (h ^ d->sequences) * 0x9e3779b97f4a7c15ull;
	h = (h ^ d->generation ^ (__u64)d->image << 32) * 0x9e3779b97f4a7c15ull;
	h = (h ^ d->row ^ (__u64)d->base << 32) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 32;
}

static __always_inline __u64 sequences(void)
{
	return (__u64)sequence(&rename_lock) << 32 | sequence(&mount_lock);
}

/* Finds the row behind the wanted directory's path and keeps it; false if its path cannot be resolved. */
__noinline int learn(struct directory *want, __u32 slot)
{
	if (!want)
		return 0;
	struct target t = {
		.dentry = want->dentry,
		.mnt = want->mnt,
		.base = want->base,
		.prefix = 1,
	};
	if (resolve(&t) != WALK_OK)
		return 0;
	want->row = t.row;
	want->check = mix(want);
	directories[slot & (DIRECTORIES - 1)] = *want;
	return 1;
}

/* The row of a name in a directory; 0: take the long way. */
static __always_inline __u32 known_row(struct subject *s, struct dentry *dentry, struct vfsmount *mnt)
{
	__u32 base = s->base;
	__u64 before = sequences();
	struct dentry *parent = dentry->d_parent;
	if (dentry == mnt->mnt_root || parent == dentry || before & 0x100000001ull)
		return 0;
	struct inode *inode = parent->d_inode;
	struct directory *want = &s->label->want;
	want->dentry = plain(s->label, parent);
	want->mnt = plain(s->label, mnt);
	want->inode = inode->i_ino;
	want->generation = inode->i_generation;
	want->sequences = before;
	want->image = s->image;
	want->base = base;
	__u64 hash = (want->dentry ^ want->mnt ^ s->image) * 0x9e3779b97f4a7c15ull;
	__u32 slot = (hash >> 40) & (DIRECTORIES - 1);
	struct directory *kept = &directories[slot];
	want->row = kept->row;
	if (kept->check != mix(want) || !want->row) {
		want->row = 0;
		if (!learn(want, slot))
			return 0;
	}
	__u32 len = dentry->d_name.len;
	if (len - 1 >= NAME_PIECE)
		return 0;
	__u32 row = match_slash(base, want->row);
	__u64 name = plain(s->label, dentry->d_name.name);
	row = step_name(base, IMAGE_MAP(base), row, name, len, s->label->name);
	return sequences() == before ? row : 0;
}

#endif
