// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Mounts by governed tasks. What would put something else in the place of what no rule lets them change is refused, and
 * so is what takes the protected names away from a container's own mounts. All else is let through, and from then on
 * objects are judged by all their names.
 */
#include "below.h"

/* The host's tasks mount all day, and its rules are by the names that they see. */
static __always_inline bool reshapes(struct subject *s)
{
	return governed(s) && belongs(s->label);
}

/* A place that something comes upon: that is a change of it, and of all that is below. */
__noinline int covers(__u64 dentry, __u64 mnt, __u32 base, __u32 image)
{
	struct scratch *scratch = bpf_task_storage_get(&scratches, bpf_get_current_task_btf(), 0,
						       BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!scratch)
		return -EACCES;
	struct access *a = &scratch->access;
	__builtin_memset(a, 0, sizeof(*a));
	a->base = base;
	a->image = image;
	a->dentry = dentry;
	a->mnt = mnt;
	a->owner = (__u64)FIELD(struct dentry, dentry, d_inode);
	a->change = 1;
	a->operation = OP_MOUNT;
	if (guard(a))
		return -EACCES;
	struct target t = { .base = base, .dentry = dentry, .mnt = mnt, .prefix = 1 };
	resolve(&t);
	/* What hangs nowhere has no names that could be covered. */
	if (t.status != WALK_OK)
		return 0;
	__u32 rule = rule_below(base, t.row, BELOW_CHANGE);
	return rule == RULE_NONE ? 0 : refuse_names(&t, image, rule, OP_MOUNT);
}

/* A mount that goes from where it is. */
__noinline int uncovers(__u64 dentry, __u64 mnt, __u32 base, __u32 image, __u32 operation)
{
	struct target t = { .base = base, .dentry = dentry, .mnt = mnt, .prefix = 1 };
	resolve(&t);
	if (t.status != WALK_OK)
		return 0;
	__u32 rule = rule_on(base, t.row);
	return rule == RULE_NONE ? 0 : refuse_names(&t, image, rule, operation);
}

/* Whether a mount is one by which the container's names are told. */
static __always_inline bool is_of_container(const struct subject *s, const struct vfsmount *mnt)
{
	struct slot *slot = &slots[s->label->slot & SLOT_MASK];
	return number(FIELD(struct mount, mount_of(mnt), mnt_ns)) == slot->mounts;
}

static __always_inline int mounted(const struct subject *s)
{
	slots[s->label->slot & SLOT_MASK].mounted = 1;
	return 0;
}

/* An old call moves a mount that it names by text, which is not resolved yet. */
static __always_inline bool moves(unsigned long flags)
{
	return flags & MS_MOVE && !(flags & (MS_REMOUNT | MS_BIND | MS_PROPAGATION));
}

SEC("lsm/sb_mount")
int BPF_PROG(on_mount, const char *device, const struct path *path, const char *type, unsigned long flags,
	     void *data, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (flags & MS_REMOUNT || (flags & MS_PROPAGATION && !(flags & MS_BIND)) || !reshapes(&s))
		return 0;
	struct target t = { .dentry = number(path->dentry), .mnt = number(path->mnt) };
	__u32 rule = moves(flags) ? rule_below(s.base, word(s.base + IMAGE_AT_START), BELOW_DENIED) : RULE_NONE;
	if (rule != RULE_NONE)
		return refuse_names(&t, s.image, rule, OP_MOUNT);
	return covers(t.dentry, t.mnt, s.base, s.image) ? -EACCES : mounted(&s);
}

SEC("lsm/move_mount")
int BPF_PROG(on_move_mount, const struct path *from, const struct path *to, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (!reshapes(&s))
		return 0;
	struct vfsmount *mnt = from->mnt;
	if (is_of_container(&s, mnt) &&
	    uncovers(number(from->dentry), number(mnt), s.base, s.image, OP_MOUNT))
		return -EACCES;
	return covers(number(to->dentry), number(to->mnt), s.base, s.image) ? -EACCES : mounted(&s);
}

SEC("lsm/sb_umount")
int BPF_PROG(on_umount, struct vfsmount *mnt, int flags, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (!reshapes(&s) || !is_of_container(&s, mnt))
		return 0;
	return uncovers(number(mnt->mnt_root), number(mnt), s.base, s.image, OP_UMOUNT) ? -EACCES : 0;
}

SEC("lsm/sb_pivotroot")
int BPF_PROG(on_pivot_root, const struct path *old, const struct path *new, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (!reshapes(&s) || !is_of_container(&s, new->mnt))
		return 0;
	struct target t = { .dentry = number(new->dentry), .mnt = number(new->mnt) };
	__u32 rule = rule_below(s.base, word(s.base + IMAGE_AT_START), BELOW_DENIED);
	return rule == RULE_NONE ? 0 : refuse_names(&t, s.image, rule, OP_MOUNT);
}
