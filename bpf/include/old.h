/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files that somebody opened before the rules came that deny it. User space has the iterator look for them whenever
 * rules have changed, and attaches the hooks of every read and write while there are any.
 */
#ifndef KUBEARMOR_OLD_H
#define KUBEARMOR_OLD_H

#include "descriptors.h"

struct old_file {
	__u64 inode;
	__u32 device;
	__u32 reserved;
};

/* The look that found it last. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct old_file);
	__type(value, __u32);
} old_files SEC(".maps");

static __always_inline struct old_file old_file(const struct inode *inode)
{
	struct old_file file = {
		.inode = BPF_CORE_READ(inode, i_ino),
		.device = BPF_CORE_READ(inode, i_sb, s_dev),
	};
	return file;
}

#endif
