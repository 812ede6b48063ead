/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Requests that change a file, or the entries of a directory, though it is open for reading only: flags, project,
 * version, seals, and what some file systems offer beside. All others ask for a file that was opened for writing.
 */
#ifndef KUBEARMOR_REQUESTS_H
#define KUBEARMOR_REQUESTS_H

#include <linux/btrfs.h>
#include <linux/fs.h>
#include <linux/fscrypt.h>
#include <linux/fsverity.h>

#include "names.h"
#include "own.h"

#define EXT4_IOC_SETVERSION_OLD _IOW('f', 4, long)
#define EXT4_IOC_MIGRATE _IO('f', 9)
#define EXT4_IOC_SWAP_BOOT _IO('f', 17)

static __always_inline bool changes(unsigned int request)
{
	switch (request) {
	case FS_IOC_SETFLAGS:
	case FS_IOC32_SETFLAGS:
	case FS_IOC_FSSETXATTR:
	case FS_IOC_SETVERSION:
	case FS_IOC32_SETVERSION:
	case FS_IOC_ENABLE_VERITY:
	case FS_IOC_SET_ENCRYPTION_POLICY:
	case EXT4_IOC_SETVERSION_OLD:
	case EXT4_IOC_MIGRATE:
	case EXT4_IOC_SWAP_BOOT:
	case BTRFS_IOC_SUBVOL_CREATE:
	case BTRFS_IOC_SUBVOL_CREATE_V2:
	case BTRFS_IOC_SNAP_CREATE:
	case BTRFS_IOC_SNAP_CREATE_V2:
	case BTRFS_IOC_SNAP_DESTROY:
	case BTRFS_IOC_SNAP_DESTROY_V2:
	case BTRFS_IOC_SUBVOL_SETFLAGS:
	case BTRFS_IOC_SET_RECEIVED_SUBVOL:
		return true;
	}
	return false;
}

static __always_inline int guard_request(struct file *file, unsigned int request)
{
	if (!changes(request))
		return 0;
	int denied = own_alter(BPF_CORE_READ(file, f_path.dentry), OP_SETATTR);
	return denied ? denied : guard_open_file(file, OP_SETATTR);
}

#endif
