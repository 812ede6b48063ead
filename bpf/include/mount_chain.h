/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The mounts of a file system, one after the other. */
#ifndef KUBEARMOR_MOUNT_CHAIN_H
#define KUBEARMOR_MOUNT_CHAIN_H

#include "state.h"

#define MOUNTS_MAX 4096

/* Known when the program is loaded, so the other way's code is gone by then. */
static __always_inline bool chained(void)
{
	return bpf_core_field_exists(((struct mount___chained *)0)->mnt_next_for_sb);
}

static __always_inline void begin_mounts(struct mounts *m, __u64 sb)
{
	m->head = 0;
	if (chained()) {
		m->cursor = number(FIELD(struct super_block___chained, sb, s_mounts));
		return;
	}
	m->head = sb + bpf_core_field_offset(struct super_block, s_mounts);
	m->cursor = number(FIELD(struct list_head, m->head, next));
}

/* The address of the next one; 0 at the end. */
static __always_inline __u64 next_mount(struct mounts *m)
{
	__u64 mount = m->cursor;
	if (!mount || mount == m->head)
		return 0;
	if (chained()) {
		m->cursor = number(FIELD(struct mount___chained, mount, mnt_next_for_sb));
		return mount;
	}
	m->cursor = number(FIELD(struct list_head, mount, next));
	return mount - bpf_core_field_offset(struct mount, mnt_instance);
}

static __always_inline __u64 vfsmount_of(__u64 mount)
{
	return mount + bpf_core_field_offset(struct mount, mnt);
}

/* False at the end; `*mnt` is the next mount by which the object may have another name, or 0: look on. */
static __always_inline bool next_elsewhere(struct elsewhere *e, __u64 *mnt)
{
	__u64 mount = next_mount(&e->mounts);
	*mnt = 0;
	if (!mount)
		return false;
	if (number(FIELD(struct mount, mount, mnt_ns)) == e->namespace && vfsmount_of(mount) != e->used)
		*mnt = vfsmount_of(mount);
	return true;
}

static __always_inline void begin_elsewhere(struct elsewhere *e, __u64 dentry, __u64 namespace)
{
	e->namespace = namespace;
	e->used = 0;
	e->denied = 0;
	begin_mounts(&e->mounts, number(FIELD(struct dentry, dentry, d_sb)));
}

#endif
