// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Programs: which one may run, and by which image a task is judged from then on. */
#include "applet.h"
#include "descriptors.h"
#include "entry.h"
#include "judge.h"
#include "mount_chain.h"
#include "report.h"

#define EXEC_ARGS 512 /* of a program that runs; a denied one is told in full */

/* The beginning of a program's file, as the kernel has read it. */
static __always_inline __u8 *beginning(const struct linux_binprm *bprm)
{
	struct scratch *s = bpf_task_storage_get(&scratches, bpf_get_current_task_btf(), 0,
						 BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!s || bpf_probe_read_kernel(s->beginning, BINPRM_BUF_SIZE, bprm->buf))
		return NULL;
	return s->beginning;
}

/*
 * Whether a program names its loader, which a kernel looks for behind the file's beginning. One that does not is either
 * whole or a loader itself.
 */
static __always_inline bool has_loader(const __u8 *file)
{
	bool wide = file[ELF_AT_WIDTH] == ELF_64;
	__u64 at = wide ? *(__u64 *)(file + ELF64_AT_SEGMENTS) : *(__u32 *)(file + ELF32_AT_SEGMENTS);
	for (int i = 0; i < ELF_SEGMENTS; i++) {
		if (at > BINPRM_BUF_SIZE - sizeof(__u32))
			return false;
		barrier_var(at);
		if (*(__u32 *)(file + (at & (BINPRM_BUF_SIZE - 1))) == PT_INTERP)
			return true;
		at += wide ? ELF64_SEGMENT : ELF32_SEGMENT;
	}
	return false;
}

/* It becomes its interpreter, which is asked about next. */
static __always_inline bool is_script(const __u8 *file)
{
	return file[0] == '#' && file[1] == '!';
}

struct exec_loop {
	struct scratch *scratch;
	struct plan_query q;
};

/* Whether a rule denies to run what has this row. */
static __always_inline bool forbids_program(struct plan_query *q, __u32 row, __u32 source)
{
	q->found = 0;
	q->outcome = 0;
	q->plan = match_plan(q->base, IMAGE_AT_EXEC, match_class(q->base, row), source);
	judge(q);
	return denied_by_rule(q);
}

static long exec_through(__u32 index, struct exec_loop *l)
{
	struct elsewhere *e = &l->scratch->elsewhere;
	__u64 mnt;
	if (!next_elsewhere(e, &mnt))
		return 1;
	if (!mnt)
		return 0;
	e->target.mnt = mnt;
	if (executable(&e->target, 1) != WALK_OK || !e->target.row)
		return 0;
	return forbids_program(&l->q, e->target.row, e->source);
}

/*
 * Whether a rule means a program by a name that was not used; tells which in the query. `namespace`: where the program
 * may have such; 0: nowhere.
 */
static __always_inline bool forbidden_elsewhere(struct exec_loop *l, const struct alias *alias, __u64 namespace)
{
	struct elsewhere *e = &l->scratch->elsewhere;
	if (alias)
		for (int i = 0; i < ALIAS_ROWS; i++)
			if (alias->rows[i] && forbids_program(&l->q, alias->rows[i], e->source))
				return true;
	if (!namespace)
		return false;
	begin_elsewhere(e, e->target.dentry, namespace);
	e->used = e->target.mnt;
	bpf_loop(MOUNTS_MAX, exec_through, l, 0);
	return denied_by_rule(&l->q);
}

/* Judges by the name that was used, then by all others. */
static __always_inline void judge_program(struct exec_loop *l, struct label *label, __u32 image, __u32 row,
					  const struct inode *inode, __u64 namespace)
{
	struct plan_query *q = &l->q;
	__u32 base = q->base;
	__u32 source = current_source(label, base, image);
	q->plan = match_plan(base, IMAGE_AT_EXEC, row ? match_class(base, row) : 0, source);
	q->facts = facts(bpf_get_current_task_btf(), inode);
	judge(q);
	const struct alias *alias = alias_of(base, image, inode);
	if (denies(q) || (!alias && !namespace))
		return;
	__u32 found = q->found, outcome = q->outcome, rule = q->rule;
	l->scratch->elsewhere.source = source;
	if (forbidden_elsewhere(l, alias, namespace))
		return;
	q->found = found;
	q->outcome = outcome;
	q->rule = rule;
}

/* Notes what the task is about to become, and judges whether it may. */
__noinline int guard_exec(__u64 program, __u32 base, __u32 image, __u64 namespace)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct label *label = bpf_task_storage_get(&labels, task, 0, 0);
	struct exec_loop l = {
		.scratch = bpf_task_storage_get(&scratches, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE),
		.q = { .base = base, .context = program },
	};
	struct file *file = FIELD(struct linux_binprm, program, file);
	if (!label)
		return 0;
	if (!l.scratch)
		return -EACCES;
	struct target *t = &l.scratch->elsewhere.target;
	t->base = base;
	t->prefix = 0;
	t->dentry = (__u64)FIELD(struct file, file, f_path.dentry);
	t->mnt = (__u64)FIELD(struct file, file, f_path.mnt);
	executable(t, 1);
	label->next_source = source_of_row(base, t->row);
	label->next_image = image;
	if (!word(base + IMAGE_AT_EXEC))
		return 0;

	struct inode *inode = FIELD(struct file, file, f_inode);
	struct plan_query *q = &l.q;
	bool lost = t->status == WALK_UNRESOLVED;
	__u32 rule;
	if (lost) {
		if (settings.pass_unresolved)
			return 0;
		q->outcome = STEP_DENY;
		q->rule = RULE_UNRESOLVED;
	} else {
		judge_program(&l, label, image, t->row, inode, namespace);
	}
	if (!alerts_of(q, &rule))
		return 0;
	int denied = denies(q) ? -EACCES : 0;
	struct report *r = new_report(RECORD_ALERT, OP_EXEC, image);
	if (!r)
		return denied;
	r->dentry = (__u64)FIELD(struct file, file, f_path.dentry);
	r->mnt = (__u64)FIELD(struct file, file, f_path.mnt);
	r->bprm = program;
	r->args_max = MESSAGE_ARGS - 1;
	r->rule = rule;
	r->result = denied;
	r->owner = FIELD(struct inode, inode, i_uid.val);
	r->detail[0] = FIELD(struct linux_binprm, program, argc);
	if (lost)
		r->flags = RECORD_UNRESOLVED;
	report();
	return denied;
}

SEC("lsm/bprm_check_security")
int BPF_PROG(on_exec, struct linux_binprm *bprm, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (!entered(&s))
		return 0;
	__u64 program = number(bprm);
	__u8 *file = beginning(bprm);
	find_applet(program);
	s.label->next_image = 0;
	s.label->marks &= ~LABEL_NEXT_LOADER;
	if (!file || !has_loader(file))
		s.label->marks |= LABEL_NEXT_LOADER;
	if (!governed(&s))
		return 0;
	if (guard_exec(program, s.base, s.image, s.mounts))
		return -EACCES;
	if (!(word(s.base + IMAGE_AT_FLAGS) & IMAGE_HAS_FILE_SOURCES) || (file && is_script(file)))
		return 0;
	return guard_descriptors(s.base, s.image, HANDED_NEXT) ? -EACCES : 0;
}

static __always_inline void tell_start(struct linux_binprm *bprm, struct label *label)
{
	struct file *file = bprm->file;
	struct report *r = new_report(RECORD_EXEC, OP_EXEC, 0);
	if (!r)
		return;
	r->dentry = (__u64)file->f_path.dentry;
	r->mnt = (__u64)file->f_path.mnt;
	r->bprm = number(bprm);
	r->args_max = EXEC_ARGS;
	r->detail[0] = bprm->argc;
	if (label->alerted_operation != OP_EXEC && visible(label, VISIBLE_PROCESS))
		r->flags |= RECORD_VISIBLE;
	label->alerted_operation = 0;
	report();
}

/* Past the point of no return: the task is the new program. */
SEC("lsm/bprm_committed_creds")
int BPF_PROG(on_become, struct linux_binprm *bprm)
{
	struct subject s = {};
	s.task = bpf_get_current_task_btf();
	s.label = bpf_task_storage_get(&labels, s.task, 0, 0);
	if (!s.label)
		return 0;
	struct label *label = s.label;
	label->caller = label->source;
	label->caller_image = label->image;
	label->image = label->next_image;
	label->source = label->next_source;
	label->marks &= ~LABEL_LOADER;
	if (label->marks & LABEL_NEXT_LOADER)
		label->marks |= LABEL_LOADER;
	__builtin_memcpy(label->applet, label->next_applet, APPLET_SIZE);
	label->parent_exec = label->exec;
	label->exec = __sync_fetch_and_add(&settings.next_exec, 1) + 1;
	if (!label->slot)
		return 0;
	tell_start(bprm, label);
	/* Until here others could change the table of descriptors. Nobody returns to the caller any more. */
	if (governed(&s) && word(s.base + IMAGE_AT_FLAGS) & IMAGE_HAS_FILE_SOURCES &&
	    guard_descriptors(s.base, s.image, HANDED_NOW))
		bpf_send_signal(SIGKILL);
	return 0;
}
