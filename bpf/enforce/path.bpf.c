// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Changes that name their object by path: creating, removing, renaming, linking, truncating, mode and owner. */
#include "guard.h"

static __always_inline int change(const struct vfsmount *mnt, struct dentry *dentry,
				  const struct inode *owner, __u16 operation)
{
	struct subject s = {};
	if (!governed(&s))
		return 0;
	struct access a = {
		.base = s.base,
		.image = s.image,
		.dentry = (__u64)dentry,
		.mnt = (__u64)mnt,
		.owner = (__u64)owner,
		.change = 1,
		.operation = operation,
	};
	return guard(&a) ? -EACCES : 0;
}

/* A new name: the directory's owner counts. */
static __always_inline int create(const struct path *dir, struct dentry *dentry, __u16 operation)
{
	return change(BPF_CORE_READ(dir, mnt), dentry, BPF_CORE_READ(dir, dentry, d_inode), operation);
}

static __always_inline int alter(const struct path *dir, struct dentry *dentry, __u16 operation)
{
	return change(BPF_CORE_READ(dir, mnt), dentry, BPF_CORE_READ(dentry, d_inode), operation);
}

SEC("lsm/path_mknod")
int BPF_PROG(on_mknod, const struct path *dir, struct dentry *dentry, __u16 mode, unsigned int dev,
	     int ret)
{
	return ret ? ret : create(dir, dentry, OP_MKNOD);
}

SEC("lsm/path_mkdir")
int BPF_PROG(on_mkdir, const struct path *dir, struct dentry *dentry, __u16 mode, int ret)
{
	return ret ? ret : create(dir, dentry, OP_MKDIR);
}

SEC("lsm/path_symlink")
int BPF_PROG(on_symlink, const struct path *dir, struct dentry *dentry, const char *old, int ret)
{
	return ret ? ret : create(dir, dentry, OP_SYMLINK);
}

SEC("lsm/path_unlink")
int BPF_PROG(on_unlink, const struct path *dir, struct dentry *dentry, int ret)
{
	return ret ? ret : alter(dir, dentry, OP_UNLINK);
}

SEC("lsm/path_rmdir")
int BPF_PROG(on_rmdir, const struct path *dir, struct dentry *dentry, int ret)
{
	return ret ? ret : alter(dir, dentry, OP_RMDIR);
}

SEC("lsm/path_link")
int BPF_PROG(on_link, struct dentry *old, const struct path *dir, struct dentry *dentry, int ret)
{
	if (ret)
		return ret;
	int denied = alter(dir, old, OP_LINK);
	return denied ? denied : create(dir, dentry, OP_LINK);
}

SEC("lsm/path_rename")
int BPF_PROG(on_rename, const struct path *old_dir, struct dentry *old, const struct path *new_dir,
	     struct dentry *new, unsigned int flags, int ret)
{
	if (ret)
		return ret;
	int denied = alter(old_dir, old, OP_RENAME);
	if (denied)
		return denied;
	return BPF_CORE_READ(new, d_inode) ? alter(new_dir, new, OP_RENAME) :
					     create(new_dir, new, OP_RENAME);
}

static __always_inline int alter_path(const struct path *path, __u16 operation)
{
	return alter(path, BPF_CORE_READ(path, dentry), operation);
}

SEC("lsm/path_truncate")
int BPF_PROG(on_truncate, const struct path *path, int ret)
{
	return ret ? ret : alter_path(path, OP_TRUNCATE);
}

SEC("lsm/path_chmod")
int BPF_PROG(on_chmod, const struct path *path, __u16 mode, int ret)
{
	return ret ? ret : alter_path(path, OP_CHMOD);
}

SEC("lsm/path_chown")
int BPF_PROG(on_chown, const struct path *path, __u64 uid, __u64 gid, int ret)
{
	return ret ? ret : alter_path(path, OP_CHOWN);
}
