// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Programs that are mapped rather than executed: `ld.so PROGRAM` runs PROGRAM. The mapping is judged as if the mapping
 * program executed the file, and as if the one did that started it, for a loader only does what it was told to.
 *
 * Libraries are mapped likewise and lie in the same folders, but no policy lists them: so postures have no say here,
 * and of rules on folders and patterns only where the program is a loader. A rule that names the very file holds
 * whoever maps it.
 */
#include "guard.h"
#include "known.h"
#include "mapped.h"
#include "mount_chain.h"

/* Which applet a loader's program will become is not known where options of the loader's own come first. */
static __always_inline bool applet_is_untold(const struct label *label)
{
	return label->marks & LABEL_LOADER && label->applet[0] == '-';
}

/* The row of what is mapped; false if nobody can say. 0: no rule means it. */
static __always_inline bool mapped_row(const struct access *a, const struct label *label, __u32 *row)
{
	*row = a->row;
	if (*row && !(word(a->base + *row) & ROW_MULTICALL))
		return true;
	struct target t = { .base = a->base, .dentry = a->dentry, .mnt = a->mnt };
	__u32 status = resolve(&t);
	if (status == WALK_OK && word(a->base + t.row) & ROW_MULTICALL) {
		if (applet_is_untold(label))
			return false;
		status = executable(&t, 0);
	}
	*row = status == WALK_OK ? t.row : 0;
	return status != WALK_UNRESOLVED;
}

/* Asks for one who may be the one that runs it; true if he may not. */
static __always_inline bool forbids(struct plan_query *q, const struct label *label, __u32 class,
				    __u32 source)
{
	q->found = 0;
	q->outcome = 0;
	q->plan = match_plan(q->base, IMAGE_AT_EXEC, class, source);
	judge(q);
	if (!(q->outcome & STEP_DENY) || q->outcome & STEP_POSTURE)
		return false;
	return q->outcome & STEP_NAMED || label->marks & LABEL_LOADER;
}

struct load_loop {
	struct scratch *scratch;
	struct plan_query q;
};

/* Asks for the mapping program, and for the one that executed it. */
static __always_inline bool forbids_row(struct load_loop *l, const struct label *label, __u32 row)
{
	struct elsewhere *e = &l->scratch->elsewhere;
	__u32 class = row ? match_class(l->q.base, row) : 0;
	if (forbids(&l->q, label, class, e->source))
		return true;
	return e->caller != e->source && forbids(&l->q, label, class, e->caller);
}

static long load_through(__u32 index, struct load_loop *l)
{
	struct elsewhere *e = &l->scratch->elsewhere;
	struct label *label = bpf_task_storage_get(&labels, bpf_get_current_task_btf(), 0, 0);
	__u64 mnt;
	if (!label || !next_elsewhere(e, &mnt))
		return 1;
	if (!mnt)
		return 0;
	e->target.mnt = mnt;
	if (resolve(&e->target) != WALK_OK)
		return 0;
	e->denied = forbids_row(l, label, e->target.row);
	return e->denied;
}

/* Whether a rule means it by a name that it was not mapped by. */
static __always_inline bool forbidden_to_load(struct load_loop *l, const struct access *a, const struct label *label,
					      __u64 namespace)
{
	struct elsewhere *e = &l->scratch->elsewhere;
	const struct alias *alias = alias_of(a->base, a->image, (const struct inode *)a->owner);
	if (alias)
		for (int i = 0; i < ALIAS_ROWS; i++)
			if (alias->rows[i] && forbids_row(l, label, alias->rows[i]))
				return true;
	if (!namespace)
		return false;
	begin_elsewhere(e, a->dentry, namespace);
	e->used = a->mnt;
	e->target.base = a->base;
	e->target.dentry = a->dentry;
	e->target.prefix = 0;
	bpf_loop(MOUNTS_MAX, load_through, l, 0);
	return e->denied;
}

/* 0 or a negative errno for mapping a file as a program; reports. `namespace`: where it may have other names, or 0. */
__noinline int guard_load(struct access *a, __u64 namespace)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct label *label = bpf_task_storage_get(&labels, task, 0, 0);
	if (!a || !label)
		return 0;
	const struct inode *inode = (const struct inode *)a->owner;
	/* What it will be called with is not known: no list of arguments is met. */
	struct load_loop l = {
		.scratch = bpf_task_storage_get(&scratches, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE),
		.q = { .base = a->base, .facts = facts(task, inode) },
	};
	__u32 row;
	if (!l.scratch)
		return -EACCES;
	bool told = mapped_row(a, label, &row);
	if (told) {
		struct elsewhere *e = &l.scratch->elsewhere;
		e->source = current_source(label, a->base, a->image);
		e->caller = label->caller_image == a->image ? label->caller : e->source;
		if (!forbids_row(&l, label, row) && !forbidden_to_load(&l, a, label, namespace))
			return 0;
	} else {
		if (!(label->marks & LABEL_LOADER))
			return 0;
		l.q.rule = RULE_UNRESOLVED;
	}
	struct report *r = new_report(RECORD_ALERT, OP_LOAD, a->image);
	if (!r)
		return -EACCES;
	r->dentry = a->dentry;
	r->mnt = a->mnt;
	r->rule = l.q.rule;
	r->result = -EACCES;
	r->owner = BPF_CORE_READ(inode, i_uid.val);
	r->flags = told ? 0 : RECORD_UNRESOLVED;
	report();
	return -EACCES;
}

/* False for whom no rule on programs governs. */
static __always_inline bool loads(struct subject *s)
{
	return governed(s) && word(s->base + IMAGE_AT_EXEC);
}

/* The running program was judged when it was executed. */
static __always_inline bool runs(struct task_struct *task, const struct inode *inode)
{
	return number(BPF_CORE_READ(task, mm, exe_file, f_path.dentry, d_inode)) == (__u64)inode;
}

static __always_inline int load(const struct subject *s, const struct path *path, __u32 row)
{
	struct scratch *scratch = new_access(s, OP_LOAD);
	if (!scratch)
		return -EACCES;
	struct access *a = &scratch->access;
	struct dentry *dentry = path->dentry;
	a->dentry = (__u64)dentry;
	a->mnt = (__u64)path->mnt;
	a->owner = (__u64)BPF_CORE_READ(dentry, d_inode);
	a->row = row;
	return guard_load(a, s->mounts) ? -EACCES : 0;
}

/* A function of its own: stacks are short. */
static __noinline __u32 row_of_mapped(struct subject *s, struct dentry *dentry, struct vfsmount *mnt)
{
	return known_row(s, dentry, mnt);
}

SEC("lsm/mmap_file")
int BPF_PROG(on_load, struct file *file, unsigned long asked, unsigned long prot, unsigned long flags, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (!(prot & PROT_EXEC) || !file || !loads(&s))
		return 0;
	struct dentry *dentry = file->f_path.dentry;
	if (unlinked(dentry) || runs(s.task, dentry->d_inode))
		return 0;
	__u32 row = row_of_mapped(&s, dentry, file->f_path.mnt);
	if (no_plan(&s, IMAGE_AT_EXEC, row, dentry->d_inode) && !(word(s.base + row) & ROW_MULTICALL) &&
	    (s.label->caller_image != s.image ||
	     !match_plan(s.base, IMAGE_AT_EXEC, match_class(s.base, row), s.label->caller)))
		return 0;
	struct path path = { file->f_path.mnt, dentry };
	return load(&s, &path, row);
}

/* What was mapped for reading becomes a program later. */
SEC("lsm/file_mprotect")
int BPF_PROG(on_load_later, struct vm_area_struct *vma, unsigned long asked, unsigned long prot, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	struct file *file = BPF_CORE_READ(vma, vm_file);
	if (!(prot & PROT_EXEC) || BPF_CORE_READ(vma, vm_flags) & VM_EXEC || !file || !loads(&s))
		return 0;
	struct path path = mapped_path(vma);
	struct inode *inode = BPF_CORE_READ(path.dentry, d_inode);
	if (probed_unlinked(path.dentry) || runs(s.task, inode))
		return 0;
	return load(&s, &path, 0);
}
