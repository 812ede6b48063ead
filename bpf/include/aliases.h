/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Objects that rules name and that have further hard links. By whichever of its names such an object is reached, what
 * a rule denies of it under another is denied. User space looks for them when it makes the rules.
 */
#ifndef KUBEARMOR_ALIASES_H
#define KUBEARMOR_ALIASES_H

#include "state.h"

#define ALIAS_ROWS 4

struct alias_key {
	__u64 inode;
	__u32 device;
	__u32 image;
};

/* The rows of the names by which rules name it; 0: none. */
struct alias {
	__u32 rows[ALIAS_ROWS];
};

/* Filled by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 18);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct alias_key);
	__type(value, struct alias);
} aliases SEC(".maps");

/* Whether it is worth asking for the aliases of an object. */
static __always_inline bool has_aliases(__u32 base, const struct inode *inode)
{
	return word(base + IMAGE_AT_FLAGS) & IMAGE_HAS_ALIASES && FIELD(struct inode, inode, i_nlink) > 1;
}

static __always_inline struct alias *alias_of(__u32 base, __u32 image, const struct inode *inode)
{
	struct alias_key key = { .image = image };
	if (!inode || !has_aliases(base, inode))
		return NULL;
	key.inode = FIELD(struct inode, inode, i_ino);
	key.device = FIELD(struct inode, inode, i_sb, s_dev);
	return bpf_map_lookup_elem(&aliases, &key);
}

#endif
