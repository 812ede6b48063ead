// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The agent protects what is its own from containers. On the hooks of inodes and not on those of paths: an overlay
 * comes by no others when it changes its layers. See own.h; opening is in open.bpf.c, attributes are beside their kin.
 */
#include "own.h"

SEC("lsm/inode_create")
int BPF_PROG(own_create, struct inode *dir, struct dentry *dentry, __u16 mode, int ret)
{
	return ret ? ret : own_alter(dentry, OP_OPEN);
}

SEC("lsm/inode_mkdir")
int BPF_PROG(own_mkdir, struct inode *dir, struct dentry *dentry, __u16 mode, int ret)
{
	return ret ? ret : own_alter(dentry, OP_MKDIR);
}

SEC("lsm/inode_mknod")
int BPF_PROG(own_mknod, struct inode *dir, struct dentry *dentry, __u16 mode, __u32 device, int ret)
{
	return ret ? ret : own_alter(dentry, OP_MKNOD);
}

SEC("lsm/inode_symlink")
int BPF_PROG(own_symlink, struct inode *dir, struct dentry *dentry, const char *old, int ret)
{
	return ret ? ret : own_alter(dentry, OP_SYMLINK);
}

/* A second name outside would lead past the climb. */
SEC("lsm/inode_link")
int BPF_PROG(own_link, struct dentry *old, struct inode *dir, struct dentry *dentry, int ret)
{
	if (ret)
		return ret;
	int denied = own_alter(old, OP_LINK);
	return denied ? denied : own_alter(dentry, OP_LINK);
}

SEC("lsm/inode_unlink")
int BPF_PROG(own_unlink, struct inode *dir, struct dentry *dentry, int ret)
{
	return ret ? ret : own_move(dentry, OP_UNLINK);
}

SEC("lsm/inode_rmdir")
int BPF_PROG(own_rmdir, struct inode *dir, struct dentry *dentry, int ret)
{
	return ret ? ret : own_move(dentry, OP_RMDIR);
}

SEC("lsm/inode_rename")
int BPF_PROG(own_rename, struct inode *old_dir, struct dentry *old, struct inode *new_dir,
	     struct dentry *new, int ret)
{
	if (ret)
		return ret;
	int denied = own_move(old, OP_RENAME);
	return denied ? denied : own_move(new, OP_RENAME);
}

SEC("lsm/unix_stream_connect")
int BPF_PROG(own_socket, struct sock *sock, struct sock *other, struct sock *made, int ret)
{
	if (ret)
		return ret;
	struct unix_sock *listener = (struct unix_sock *)other;
	struct dentry *dentry = BPF_CORE_READ(listener, path.dentry);
	return dentry ? own_alter(dentry, OP_OPEN) : 0;
}
