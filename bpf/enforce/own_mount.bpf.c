// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Mounts that would hide what is the agent's own from the agent, or take it away. */
#include "own.h"

/* Whether what is done to the mount is done to the host's: because it is one, or because mounts have peers. */
static __always_inline bool concerns_host(struct mount *mount)
{
	return BPF_CORE_READ(mount, mnt_ns, ns.inum) == settings.host_mounts ||
	       BPF_CORE_READ(mount, mnt_group_id);
}

static __always_inline int own_mountpoint(struct dentry *dentry, struct vfsmount *mnt, __u32 operation)
{
	if (!confined() || !(own_standing((__u64)dentry) & (OWN_WHOLE | OWN_WAY)))
		return 0;
	return own_refuse((__u64)dentry, number(mnt), operation, EACCES);
}

SEC("lsm/sb_mount")
int BPF_PROG(own_mount, const char *device, const struct path *path, const char *type,
	     unsigned long flags, void *data, int ret)
{
	if (ret || flags & MS_PROPAGATION)
		return ret;
	return own_mountpoint(BPF_CORE_READ(path, dentry), BPF_CORE_READ(path, mnt), OP_MOUNT);
}

SEC("lsm/move_mount")
int BPF_PROG(own_move_mount, const struct path *from, const struct path *to, int ret)
{
	if (ret)
		return ret;
	struct vfsmount *mnt = BPF_CORE_READ(from, mnt);
	int denied = 0;
	if (concerns_host(mount_of(mnt)))
		denied = own_mountpoint(BPF_CORE_READ(from, dentry), mnt, OP_MOUNT);
	return denied ? denied : own_mountpoint(BPF_CORE_READ(to, dentry), BPF_CORE_READ(to, mnt), OP_MOUNT);
}

SEC("lsm/sb_umount")
int BPF_PROG(own_umount, struct vfsmount *mnt, int flags, int ret)
{
	if (ret || !concerns_host(mount_of(mnt)))
		return ret;
	return own_mountpoint(BPF_CORE_READ(mnt, mnt_root), mnt, OP_UMOUNT);
}

SEC("lsm/sb_pivotroot")
int BPF_PROG(own_pivot_root, const struct path *old, const struct path *new, int ret)
{
	if (ret || !confined())
		return ret;
	struct vfsmount *mnt = BPF_CORE_READ(new, mnt);
	if (BPF_CORE_READ(mount_of(mnt), mnt_ns, ns.inum) != settings.host_mounts)
		return 0;
	return own_refuse((__u64)BPF_CORE_READ(new, dentry), (__u64)mnt, OP_MOUNT, EACCES);
}

SEC("lsm/sb_remount")
int BPF_PROG(own_remount, struct super_block *sb, void *options, int ret)
{
	if (ret || !confined() || !own_marks(0, BPF_CORE_READ(sb, s_dev)))
		return ret;
	return own_refuse((__u64)BPF_CORE_READ(sb, s_root), 0, OP_MOUNT, EACCES);
}
