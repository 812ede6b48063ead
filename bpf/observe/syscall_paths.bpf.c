// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * System calls that rules audit for the path they are made on. The path is that of the kernel's own object, at the
 * hook where the kernel asks whether the call may have it: text in the caller's memory could be another by then.
 */
#include "call.h"
#include "judge.h"
#include "report.h"

/* What a call is made on. Kernel pointers travel as numbers: they are only ever probed. */
struct watched {
	__u64 dentry;
	__u64 mnt;
	__u32 base;
	__u32 image;
	__u32 call;
};

__noinline int audit_path(struct watched *w)
{
	if (!w)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	struct label *label = bpf_task_storage_get(&labels, task, 0, 0);
	struct target t = { .base = w->base, .dentry = w->dentry, .mnt = w->mnt };
	struct plan_query q = { .base = w->base };
	__u32 rule;
	if (!label || resolve(&t) != WALK_OK)
		return 0;
	q.plan = match_syscall_path(w->base, w->call, match_class(w->base, t.row),
				    current_source(label, w->base, w->image));
	judge(&q);
	if (!alerts_of(&q, &rule))
		return 0;
	struct report *r = new_report(RECORD_ALERT, OP_SYSCALL, w->image);
	if (!r)
		return 0;
	r->dentry = w->dentry;
	r->mnt = w->mnt;
	r->rule = rule;
	r->detail[0] = w->call;
	report();
	return 1;
}

static __always_inline void watch(const struct vfsmount *mnt, const struct dentry *dentry, bool creates)
{
	struct subject s = {};
	if (!governed(&s))
		return;
	__u32 calls_on_paths = word(s.base + IMAGE_AT_SYSCALL_PATH);
	if (!calls_on_paths)
		return;
	__u32 call = current_call(s.task);
	if (call == NO_CALL)
		return;
	__u32 asked = word(s.base + calls_on_paths + (call & (SYSCALLS - 1)));
	if (!asked || (creates && asked & SYSCALL_OPENS))
		return;
	struct watched w = {
		.dentry = (__u64)dentry,
		.mnt = (__u64)mnt,
		.base = s.base,
		.image = s.image,
		.call = call,
	};
	audit_path(&w);
}

static __always_inline void watch_path(const struct path *path)
{
	watch(BPF_CORE_READ(path, mnt), BPF_CORE_READ(path, dentry), false);
}

static __always_inline void watch_entry(const struct path *dir, const struct dentry *dentry)
{
	watch(BPF_CORE_READ(dir, mnt), dentry, false);
}

SEC("lsm/file_open")
int BPF_PROG(on_watched_open, struct file *file, int ret)
{
	if (!ret && !(file->f_mode & FMODE_NOACCOUNT))
		watch_path(&file->f_path);
	return ret;
}

SEC("lsm/inode_getattr")
int BPF_PROG(on_watched_getattr, const struct path *path, int ret)
{
	if (!ret)
		watch_path(path);
	return ret;
}

SEC("lsm/path_mknod")
int BPF_PROG(on_watched_mknod, const struct path *dir, struct dentry *dentry, __u16 mode, unsigned int dev,
	     int ret)
{
	if (!ret)
		watch(BPF_CORE_READ(dir, mnt), dentry, true);
	return ret;
}

SEC("lsm/path_mkdir")
int BPF_PROG(on_watched_mkdir, const struct path *dir, struct dentry *dentry, __u16 mode, int ret)
{
	if (!ret)
		watch_entry(dir, dentry);
	return ret;
}

SEC("lsm/path_symlink")
int BPF_PROG(on_watched_symlink, const struct path *dir, struct dentry *dentry, const char *old, int ret)
{
	if (!ret)
		watch_entry(dir, dentry);
	return ret;
}

SEC("lsm/path_unlink")
int BPF_PROG(on_watched_unlink, const struct path *dir, struct dentry *dentry, int ret)
{
	if (!ret)
		watch_entry(dir, dentry);
	return ret;
}

SEC("lsm/path_rmdir")
int BPF_PROG(on_watched_rmdir, const struct path *dir, struct dentry *dentry, int ret)
{
	if (!ret)
		watch_entry(dir, dentry);
	return ret;
}

SEC("lsm/path_link")
int BPF_PROG(on_watched_link, struct dentry *old, const struct path *dir, struct dentry *dentry, int ret)
{
	if (ret)
		return ret;
	watch_entry(dir, old);
	watch_entry(dir, dentry);
	return 0;
}

SEC("lsm/path_rename")
int BPF_PROG(on_watched_rename, const struct path *old_dir, struct dentry *old, const struct path *new_dir,
	     struct dentry *new, unsigned int flags, int ret)
{
	if (ret)
		return ret;
	watch_entry(old_dir, old);
	watch_entry(new_dir, new);
	return 0;
}

SEC("lsm/path_truncate")
int BPF_PROG(on_watched_truncate, const struct path *path, int ret)
{
	if (!ret)
		watch_path(path);
	return ret;
}

SEC("lsm/path_chmod")
int BPF_PROG(on_watched_chmod, const struct path *path, __u16 mode, int ret)
{
	if (!ret)
		watch_path(path);
	return ret;
}

SEC("lsm/path_chown")
int BPF_PROG(on_watched_chown, const struct path *path, __u64 uid, __u64 gid, int ret)
{
	if (!ret)
		watch_path(path);
	return ret;
}

SEC("lsm/path_chroot")
int BPF_PROG(on_watched_chroot, const struct path *path, int ret)
{
	if (!ret)
		watch_path(path);
	return ret;
}

SEC("lsm/path_notify")
int BPF_PROG(on_watched_notify, const struct path *path, __u64 mask, unsigned int kind, int ret)
{
	if (!ret)
		watch_path(path);
	return ret;
}

SEC("lsm/sb_mount")
int BPF_PROG(on_watched_mount, const char *device, const struct path *path, const char *type,
	     unsigned long flags, void *data, int ret)
{
	if (!ret)
		watch_path(path);
	return ret;
}

SEC("lsm/sb_umount")
int BPF_PROG(on_watched_umount, struct vfsmount *mnt, int flags, int ret)
{
	if (!ret)
		watch(mnt, BPF_CORE_READ(mnt, mnt_root), false);
	return ret;
}
