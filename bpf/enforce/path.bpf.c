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
	struct scratch *scratch = new_access(&s, operation);
	if (!scratch)
		return -EACCES;
	struct access *a = &scratch->access;
	a->dentry = (__u64)dentry;
	a->mnt = (__u64)mnt;
	a->owner = (__u64)owner;
	a->change = 1;
	return guard_names(&s, scratch) ? -EACCES : 0;
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
	return guard_names(s, scratch) ? -EACCES : 0;
}

static long move_through(__u32 index, struct loop *loop)
{
	struct elsewhere *e = &loop->scratch->elsewhere;
	__u64 mnt;
	if (!next_elsewhere(e, &mnt))
		return 1;
	if (!mnt)
		return 0;
	e->target.mnt = mnt;
	/* Where the names are alike, what has been judged holds. */
	if (resolve(&e->target) != WALK_OK || alike(e->target.base, e->target.row, e->known))
		return 0;
	__u32 rule = rule_on(e->target.base, e->target.row);
	if (rule == RULE_NONE)
		return 0;
	refuse_names(&e->target, e->image, rule, OP_RENAME);
	e->denied = 1;
	return 1;
}

/*
 * By other mounts of the container the object may have a name that a rule means, or lie above such names. `row` is that
 * of the name that it is known by here.
 */
__noinline int move_elsewhere(__u64 dentry, __u64 namespace, __u32 base, __u32 image, __u32 row)
{
	struct loop loop = {
		.scratch = bpf_task_storage_get(&scratches, bpf_get_current_task_btf(), 0,
						BPF_LOCAL_STORAGE_GET_F_CREATE),
	};
	if (!loop.scratch)
		return -EACCES;
	struct elsewhere *e = &loop.scratch->elsewhere;
	begin_elsewhere(e, dentry, namespace);
	e->target.dentry = dentry;
	e->target.base = base;
	e->target.prefix = 1;
	e->image = image;
	e->known = row;
	bpf_loop(MOUNTS_MAX, move_through, &loop, 0);
	return e->denied ? -EACCES : 0;
}

/* `both`: what has the new name gets the old one. All lies in the task's scratch memory: the stack is short. */
static __always_inline int move(const struct subject *s, const struct path *old_dir, struct dentry *old, const struct path *new_dir,
				struct dentry *new, __u16 operation, bool both)
{
	if (!word(s->base + IMAGE_AT_CHANGE) && !word(s->base + IMAGE_AT_SIGNATURES))
		return 0;
	struct scratch *scratch =
		bpf_task_storage_get(&scratches, s->task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!scratch)
		return -EACCES;
	struct move *m = &scratch->move;
	m->image = s->image;
	m->operation = operation;
	if (judge_name(s, scratch, &m->from, old_dir, old, operation) ||
	    judge_name(s, scratch, &m->to, new_dir, new, operation) || moved(m))
		return -EACCES;
	if (!both)
		return 0;
	scratch->elsewhere.target = m->to;
	m->to = m->from;
	m->from = scratch->elsewhere.target;
	return moved(m) ? -EACCES : 0;
}

SEC("lsm/path_link")
int BPF_PROG(on_link, struct dentry *old, const struct path *dir, struct dentry *dentry, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	return governed(&s) ? move(&s, dir, old, dir, dentry, OP_LINK, false) : 0;
}

SEC("lsm/path_rename")
int BPF_PROG(on_rename, const struct path *old_dir, struct dentry *old, const struct path *new_dir,
	     struct dentry *new, unsigned int flags, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (!governed(&s))
		return 0;
	if (move(&s, old_dir, old, new_dir, new, OP_RENAME, flags & RENAME_EXCHANGE))
		return -EACCES;
	if (!s.mounts)
		return 0;
	struct scratch *scratch = bpf_task_storage_get(&scratches, s.task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!scratch)
		return -EACCES;
	bool both = flags & RENAME_EXCHANGE;
	/* Of an exchange, the last look was at the way back. */
	__u32 row = both ? scratch->move.to.row : scratch->move.from.row;
	if (move_elsewhere(number(old), s.mounts, s.base, s.image, row))
		return -EACCES;
	return both && move_elsewhere(number(new), s.mounts, s.base, s.image, scratch->move.from.row) ? -EACCES : 0;
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
