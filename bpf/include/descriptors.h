/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Descriptors that a program is handed: inherited from the program that executed it, or received. They give no right
 * that it would not have by opening the file itself. Only denials are told, since nothing has been read or written yet.
 */
#ifndef KUBEARMOR_DESCRIPTORS_H
#define KUBEARMOR_DESCRIPTORS_H

#include "guard.h"

#define MAX_HANDED (1u << 16)      /* files of a program that are judged in one go */
#define MAX_DESCRIPTORS (1u << 20) /* turns: words of the table and files */

static __always_inline __u32 mount_namespace(__u64 mnt)
{
	return BPF_CORE_READ(mount_of((struct vfsmount *)mnt), mnt_ns, ns.inum);
}

/* What the runtime hands a container from outside, such as the file that its output goes to, has no path in there. */
static __always_inline bool from_outside(struct task_struct *task, __u64 mnt)
{
	struct mnt_namespace *own = BPF_CORE_READ(task, nsproxy, mnt_ns);
	return mount_namespace(mnt) == settings.host_mounts &&
	       BPF_CORE_READ(own, ns.inum) != settings.host_mounts;
}

/*
 * Whether rules may have a say about an open file: pipes and sockets have no path, and terminals and the like are
 * handed to everybody.
 */
static __always_inline bool is_of_file_rules(const struct file *file)
{
	__u16 type = BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT;
	if (type != S_IFREG && type != S_IFDIR && type != S_IFBLK)
		return false;
	return !(BPF_CORE_READ(file, f_mode) & (FMODE_PATH | FMODE_NOACCOUNT)) &&
	       !probed_unlinked(BPF_CORE_READ(file, f_path.dentry));
}

/* 0 or a negative errno for having a file open; the caller has filled base, image, handed and operation. */
static __always_inline int guard_handed(struct access *a, const struct file *file)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 mode = BPF_CORE_READ(file, f_mode);
	if (!is_of_file_rules(file))
		return 0;
	a->dentry = (__u64)BPF_CORE_READ(file, f_path.dentry);
	a->mnt = (__u64)BPF_CORE_READ(file, f_path.mnt);
	a->owner = (__u64)BPF_CORE_READ(file, f_inode);
	a->flags = BPF_CORE_READ(file, f_flags);
	if (from_outside(task, a->mnt))
		return 0;
	a->change = 1;
	if (mode & FMODE_WRITE && guard(a))
		return -EACCES;
	a->change = 0;
	return mode & FMODE_READ ? guard(a) : 0;
}

/* The place of the lowest bit of those that are set. */
static __always_inline __u32 lowest(__u64 bits)
{
	__u64 below = (bits & -bits) - 1;
	below -= below >> 1 & 0x5555555555555555ull;
	below = (below & 0x3333333333333333ull) + (below >> 2 & 0x3333333333333333ull);
	below = (below + (below >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return below * 0x0101010101010101ull >> 56;
}

/* Looks at a task's table; those descriptors that close at an exec are left out. */
static __always_inline void begin_files(struct handed *h, struct task_struct *task)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	h->task = (__u64)task;
	h->files = (__u64)BPF_CORE_READ(table, fd);
	h->open = (__u64)BPF_CORE_READ(table, open_fds);
	h->closing = (__u64)BPF_CORE_READ(table, close_on_exec);
	h->words = BPF_CORE_READ(table, max_fds) / 64;
	h->bits = 0;
	h->next = 0;
	h->judged = 0;
	h->denied = 0;
}

/* The next file of a word of the table, or NULL and the next word; false at the end. */
static __always_inline bool next_file(struct handed *h, struct file **file)
{
	__u64 bits = h->bits;
	*file = NULL;
	if (bits) {
		__u64 number = (h->next - 1) * 64ull + lowest(bits);
		h->bits = bits & (bits - 1);
		bpf_probe_read_kernel(file, sizeof(*file), (void *)(h->files + number * 8));
		return true;
	}
	__u64 open = 0, closing = 0;
	__u32 at = h->next;
	if (at >= h->words)
		return false;
	bpf_probe_read_kernel(&open, sizeof(open), (void *)(h->open + at * 8ull));
	if (h->closing)
		bpf_probe_read_kernel(&closing, sizeof(closing), (void *)(h->closing + at * 8ull));
	h->bits = open & ~closing;
	h->next = at + 1;
	return true;
}

static long hand_one(__u32 index, struct loop *loop)
{
	struct handed *h = &loop->scratch->handed;
	struct file *file;
	if (h->judged >= MAX_HANDED || !next_file(h, &file))
		return 1;
	if (!file)
		return 0;
	h->judged++;
	h->denied = !!guard_handed(&loop->scratch->access, file);
	return h->denied;
}

/*
 * Judges what the task has open and keeps: `handed` says as which program. 0 or a negative errno. Whoever has more open
 * than anybody looks through may not. No function of its own: from here to the walk all eight frames are taken.
 */
static __always_inline int guard_descriptors(__u32 base, __u32 image, __u32 handed)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct loop loop = {
		.scratch = bpf_task_storage_get(&scratches, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE),
	};
	if (!loop.scratch)
		return -EACCES;
	struct handed *h = &loop.scratch->handed;
	begin_files(h, task);
	struct access *a = &loop.scratch->access;
	__builtin_memset(a, 0, sizeof(*a));
	a->base = base;
	a->image = image;
	a->handed = handed;
	a->operation = OP_INHERIT;
	bpf_loop(MAX_DESCRIPTORS, hand_one, &loop, 0);
	if (h->denied)
		return -EACCES;
	if (!h->bits && h->next >= h->words)
		return 0;
	struct report *r = new_report(RECORD_ALERT, OP_INHERIT, image);
	if (r) {
		r->rule = RULE_UNRESOLVED;
		r->result = -EACCES;
		r->flags = RECORD_UNRESOLVED;
		report();
	}
	return -EACCES;
}

#endif
