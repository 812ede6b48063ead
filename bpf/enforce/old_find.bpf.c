// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Looks through what governed tasks have open for files that some rule of theirs denies. */
#include "old.h"

/* The next step of a plan, or the next program's plan. */
static long deny_one(__u32 index, struct loop *loop)
{
	struct denials *d = &loop->scratch->denials;
	__u32 base = d->base;
	__u32 source = d->source;
	if (source >= d->sources)
		return 1;
	__u32 plan = word(base + d->line + source);
	__u32 step = d->step;
	if (!plan || step >= (word(base + plan) & 0xffff)) {
		d->source = source + 1;
		d->step = 0;
		return 0;
	}
	if (word(base + plan + 1 + 2 * step) & STEP_DENY) {
		d->found = 1;
		return 1;
	}
	d->step = step + 1;
	return 0;
}

/*
 * Whether somebody is denied the path under some condition. It does not matter to whom: who has it open may become
 * another program or hand it on, and is asked exactly when it is used.
 */
static __always_inline bool may_be_denied(struct loop *loop, __u32 base, __u32 table, __u32 class)
{
	struct denials *d = &loop->scratch->denials;
	__u32 lines = word(base + table);
	if (!lines)
		return false;
	d->base = base;
	d->line = word(base + lines + class);
	d->source = 0;
	d->sources = word(base + IMAGE_AT_SOURCE_COUNT);
	d->step = 0;
	d->found = 0;
	bpf_loop(MAX_DENIALS, deny_one, loop, 0);
	return d->found || d->source < d->sources;
}

static __always_inline bool is_denied(struct loop *loop, __u32 base, const struct file *file)
{
	__u32 mode = BPF_CORE_READ(file, f_mode);
	struct target t = {
		.base = base,
		.dentry = (__u64)BPF_CORE_READ(file, f_path.dentry),
		.mnt = (__u64)BPF_CORE_READ(file, f_path.mnt),
	};
	resolve(&t);
	if (t.status != WALK_OK)
		return t.status == WALK_UNRESOLVED;
	__u32 class = match_class(base, t.row);
	return (mode & FMODE_READ && may_be_denied(loop, base, IMAGE_AT_READ, class)) ||
	       (mode & FMODE_WRITE && may_be_denied(loop, base, IMAGE_AT_CHANGE, class));
}

static long find_one(__u32 index, struct loop *loop)
{
	struct handed *h = &loop->scratch->handed;
	struct file *file;
	if (!next_file(h, &file))
		return 1;
	struct task_struct *task = (struct task_struct *)h->task;
	if (!file || !is_of_file_rules(file) || from_outside(task, (__u64)BPF_CORE_READ(file, f_path.mnt)))
		return 0;
	if (!is_denied(loop, h->base, file))
		return 0;
	struct old_file old = old_file(BPF_CORE_READ(file, f_inode));
	__u32 look = settings.look;
	if (bpf_map_update_elem(&old_files, &old, &look, BPF_ANY))
		settings.old_beyond = look;
	return 0;
}

__noinline int find_files(__u64 task, __u32 base)
{
	struct loop loop = {
		.scratch = bpf_task_storage_get(&scratches, bpf_get_current_task_btf(), 0,
						BPF_LOCAL_STORAGE_GET_F_CREATE),
	};
	if (!loop.scratch)
		return 0;
	struct handed *h = &loop.scratch->handed;
	begin_files(h, (struct task_struct *)task);
	h->closing = 0;
	h->base = base;
	bpf_loop(MAX_DESCRIPTORS, find_one, &loop, 0);
	return 0;
}

SEC("iter/task")
int find_old(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	if (!task || BPF_CORE_READ(task, flags) & PF_KTHREAD)
		return 0;
	struct label *label = bpf_task_storage_get(&labels, task, 0, 0);
	if (!label)
		return 0;
	/* Threads share what they have open, as a rule. */
	if (BPF_CORE_READ(task, group_leader) != task &&
	    BPF_CORE_READ(task, files) == BPF_CORE_READ(task, group_leader, files))
		return 0;
	struct slot *slot = &slots[label->slot & SLOT_MASK];
	__u32 base = *(volatile __u64 *)&slot->image >> 32;
	if (slot->generation != label->generation || !base || !word(base + IMAGE_AT_READ))
		return 0;
	find_files(number(task), base);
	return 0;
}
