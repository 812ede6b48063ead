/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The verdict: from an object's class and the subject's source class to the plan that was compiled for the two, and
 * from the plan to an outcome and the rule that gave it.
 */
#ifndef KUBEARMOR_JUDGE_H
#define KUBEARMOR_JUDGE_H

#include "arguments.h"
#include "state.h"
#include "walk.h"

struct verdict {
	__u32 base;
	__u32 plan;
	__u32 at;       /* first step of the list under way */
	__u32 audits;   /* the list under way is the audit list */
	__u32 owner;
	__u32 terminal;
	__u32 outcome;  /* 0, STEP_DENY or STEP_ALERT, with STEP_POSTURE */
	__u32 rule;
	__u64 bprm;     /* of an exec, else 0 */
};

static __always_inline __u32 plan_of(__u32 base, __u32 table_at, __u32 class, __u32 source)
{
	__u32 table = word(base + table_at);
	if (!table)
		return 0;
	__u32 line = word(base + table + class);
	return line ? word(base + line + source) : 0;
}

static __always_inline bool has_terminal(struct task_struct *task)
{
	return BPF_CORE_READ(task, signal, tty) != NULL;
}

static __always_inline bool owns(struct task_struct *task, const struct inode *inode)
{
	return BPF_CORE_READ(task, cred, fsuid.val) == BPF_CORE_READ(inode, i_uid.val);
}

static long judge_step(__u32 index, struct verdict *v)
{
	__u32 step = word(v->base + v->at + 2 * index);
	if (step & STEP_IF_OWNER && !v->owner)
		return 0;
	if (step & STEP_IF_NOT_OWNER && v->owner)
		return 0;
	if (step & STEP_IF_TERMINAL && !v->terminal)
		return 0;
	if (step & (STEP_IF_ARGS_IN | STEP_IF_ARGS_NOT_IN)) {
		bool in = v->bprm && arguments_in_set(v->base, step >> STEP_ARG_SET_SHIFT, v->bprm);
		if (step & STEP_IF_ARGS_IN ? !in : in)
			return 0;
	}
	v->outcome = step & (STEP_DENY | STEP_ALERT | STEP_POSTURE);
	v->rule = word(v->base + v->at + 2 * index + 1);
	return 1;
}

/* Walks the plan; owner, terminal and bprm are only looked at where a step asks for them. */
__noinline int judge(struct verdict *q)
{
	if (!q)
		return 0;
	q->outcome = 0;
	q->rule = 0;
	if (!q->plan)
		return 0;
	struct verdict v = *q;
	__u32 head = word(v.base + v.plan);
	__u32 verdicts = head & 0xffff;
	__u32 audits = head >> 16;
	v.at = v.plan + 1;
	if (verdicts)
		bpf_loop(verdicts, judge_step, &v, 0);
	if (!(v.outcome & STEP_DENY) && audits) {
		q->outcome = v.outcome;
		q->rule = v.rule;
		v.outcome = 0;
		v.at = v.plan + 1 + 2 * verdicts;
		bpf_loop(audits, judge_step, &v, 0);
		if (!v.outcome)
			return q->outcome;
	}
	q->outcome = v.outcome;
	q->rule = v.rule;
	return v.outcome;
}

/*
 * The row of an executable in t->row; 0 if it has no name. From a multi-call binary's row the walk goes on with "//"
 * and the applet. `next`: it is about to run, so the applet is that of the arguments which have just been read.
 */
__noinline int executable(struct target *t, int next)
{
	if (!t)
		return WALK_UNRESOLVED;
	int status = resolve(t);
	if (status != WALK_OK || probed_unlinked((struct dentry *)t->dentry)) {
		t->row = 0;
		return status;
	}
	if (!(word(t->base + t->row) & ROW_MULTICALL))
		return status;
	struct task_struct *task = bpf_get_current_task_btf();
	struct label *label = bpf_task_storage_get(&labels, task, 0, 0);
	struct loop loop = { .scratch = bpf_task_storage_get(&scratches, task, 0, 0) };
	if (!label || !loop.scratch)
		return status;
	struct names *n = &loop.scratch->names;
	step_byte(n, '/');
	step_byte(n, '/');
	n->name = number(next ? label->next_applet : label->applet);
	n->left = APPLET_SIZE;
	bpf_loop(1, step_chunk, &loop, 0);
	t->row = n->row;
	return status;
}

static __always_inline __u32 source_of_row(__u32 base, __u32 row)
{
	if (!row)
		return 0;
	return word(base + word(base + IMAGE_AT_SOURCES) + path_class(base, row));
}

/* Looks the subject's source class up under the present image and keeps it in its label. */
static __always_inline __u32 find_source(struct label *label, __u32 base, __u32 image)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 source = 0;
	if (word(base + IMAGE_AT_SOURCE_COUNT) > 1) {
		struct file *exe = BPF_CORE_READ(task, mm, exe_file);
		if (exe) {
			struct target t = {
				.base = base,
				.dentry = (__u64)BPF_CORE_READ(exe, f_path.dentry),
				.mnt = (__u64)BPF_CORE_READ(exe, f_path.mnt),
			};
			executable(&t, 0);
			source = source_of_row(base, t.row);
		}
	}
	label->source = source;
	label->image = image;
	return source;
}

static __always_inline __u32 current_source(struct label *label, __u32 base, __u32 image)
{
	return label->image == image ? label->source : find_source(label, base, image);
}

/*
 * True if it takes no more than a look to see that no rule has a say about an object: what most accesses come down
 * to. False also where the subject's source class must be looked up first.
 */
static __always_inline bool no_plan(const struct subject *s, __u32 table_at, __u32 row)
{
	return row && s->label->image == s->image &&
	       !plan_of(s->base, table_at, path_class(s->base, row), s->label->source);
}

#endif
