// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Changes that name their object by path: creating, removing, renaming, linking, truncating, mode and owner. */
#include "below.h"
#include "names.h"

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
	return guard_names(&s, &a) ? -EACCES : 0;
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

/* One of the two names of a rename or a link: resolved, and judged as a change. */
static __always_inline int judge_name(const struct subject *s, struct scratch *scratch, struct target *t,
				      const struct path *dir, struct dentry *dentry, __u16 operation)
{
	struct access *a = &scratch->access;
	const struct inode *owner = BPF_CORE_READ(dentry, d_inode);
	if (!owner)
		owner = BPF_CORE_READ(dir, dentry, d_inode);
	t->base = s->base;
	t->dentry = number(dentry);
	t->mnt = (__u64)BPF_CORE_READ(dir, mnt);
	t->prefix = 0;
	resolve(t);
	__builtin_memset(a, 0, sizeof(*a));
	a->base = s->base;
	a->image = s->image;
	a->dentry = t->dentry;
	a->mnt = t->mnt;
	a->owner = (__u64)owner;
	a->change = 1;
	a->row = t->status == WALK_OK ? t->row : 0;
	a->operation = operation;
	return guard_names(s, a) ? -EACCES : 0;
}

struct elsewhere {
	struct target t;
	struct mounts mounts;
	__u64 namespace;
	__u32 image;
	__u32 denied;
};

static long move_through(__u32 index, struct elsewhere *e)
{
	__u64 mount = next_mount(&e->mounts);
	if (!mount)
		return 1;
	if (number(FIELD(struct mount, mount, mnt_ns)) != e->namespace)
		return 0;
	e->t.mnt = vfsmount_of(mount);
	if (resolve(&e->t) != WALK_OK)
		return 0;
	__u32 rule = rule_on(e->t.base, e->t.row);
	if (rule == RULE_NONE)
		return 0;
	refuse_names(&e->t, e->image, rule, OP_RENAME);
	e->denied = 1;
	return 1;
}

/* By other mounts of the container the object may have a name that a rule means, or lie above such names. */
static __always_inline int move_elsewhere(const struct subject *s, struct dentry *dentry)
{
	if (!s->mounts)
		return 0;
	struct elsewhere e = {
		.t = { .dentry = number(dentry), .base = s->base, .prefix = 1 },
		.namespace = s->mounts,
		.image = s->image,
	};
	begin_mounts(&e.mounts, number(FIELD(struct dentry, dentry, d_sb)));
	bpf_loop(MOUNTS_MAX, move_through, &e, 0);
	return e.denied ? -EACCES : 0;
}

/* `both`: what has the new name gets the old one. All lies in the task's scratch memory: the stack is short. */
static __always_inline int move(const struct path *old_dir, struct dentry *old, const struct path *new_dir,
				struct dentry *new, __u16 operation, bool both)
{
	struct subject s = {};
	if (!governed(&s))
		return 0;
	if (!word(s.base + IMAGE_AT_CHANGE) && !word(s.base + IMAGE_AT_SIGNATURES))
		return 0;
	struct scratch *scratch =
		bpf_task_storage_get(&scratches, s.task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!scratch)
		return -EACCES;
	struct move *m = &scratch->move;
	m->image = s.image;
	m->operation = operation;
	if (judge_name(&s, scratch, &m->from, old_dir, old, operation) ||
	    judge_name(&s, scratch, &m->to, new_dir, new, operation) || moved(m))
		return -EACCES;
	if (!both)
		return 0;
	struct target from = m->to;
	m->to = m->from;
	m->from = from;
	return moved(m) ? -EACCES : 0;
}

SEC("lsm/path_link")
int BPF_PROG(on_link, struct dentry *old, const struct path *dir, struct dentry *dentry, int ret)
{
	return ret ? ret : move(dir, old, dir, dentry, OP_LINK, false);
}

SEC("lsm/path_rename")
int BPF_PROG(on_rename, const struct path *old_dir, struct dentry *old, const struct path *new_dir,
	     struct dentry *new, unsigned int flags, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (move(old_dir, old, new_dir, new, OP_RENAME, flags & RENAME_EXCHANGE))
		return -EACCES;
	if (!governed(&s) || !s.mounts)
		return 0;
	if (flags & RENAME_EXCHANGE && move_elsewhere(&s, new))
		return -EACCES;
	return move_elsewhere(&s, old);
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
