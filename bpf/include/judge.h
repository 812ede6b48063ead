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
	struct linux_binprm *bprm;
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
static __noinline void judge(struct verdict *v)
{
	v->outcome = 0;
	v->rule = 0;
	if (!v->plan)
		return;
	__u32 head = word(v->base + v->plan);
	__u32 verdicts = head & 0xffff;
	__u32 audits = head >> 16;
	v->at = v->plan + 1;
	if (verdicts)
		bpf_loop(verdicts, judge_step, v, 0);
	if (v->outcome & STEP_DENY || !audits)
		return;
	__u32 outcome = v->outcome;
	__u32 rule = v->rule;
	v->outcome = 0;
	v->at = v->plan + 1 + 2 * verdicts;
	bpf_loop(audits, judge_step, v, 0);
	if (!v->outcome) {
		v->outcome = outcome;
		v->rule = rule;
	}
}

/* Goes on from a multi-call binary's row with "//" and the applet. */
static __noinline __u32 step_applet(__u32 base, __u32 row, const char *applet)
{
	struct names n;
	__u64 b[4] = {};

	begin_names(&n, base, NULL);
	n.row = row;
	STEP(&n, '/');
	STEP(&n, '/');
	bpf_probe_read_kernel(b, APPLET_SIZE, applet);
	STEP_EIGHT(&n, b[0]);
	STEP_EIGHT(&n, b[1]);
	STEP_EIGHT(&n, b[2]);
	STEP_EIGHT(&n, b[3]);
	return n.row;
}

/* The row of an executable, applet included; 0 if it has no name. */
static __noinline __u32 executable_row(struct walk *w, struct task_struct *task, const char *applet)
{
	walk(w, task);
	if (w->status != WALK_OK || unlinked(w->dentry))
		return 0;
	if (word(w->base + w->row) & ROW_MULTICALL)
		w->row = step_applet(w->base, w->row, applet);
	return w->row;
}

static __always_inline __u32 source_of_row(__u32 base, __u32 row)
{
	if (!row)
		return 0;
	return word(base + word(base + IMAGE_AT_SOURCES) + path_class(base, row));
}

/* The subject's source class under the present image; looked up anew once after the image has changed. */
static __noinline __u32 source_class(struct subject *s)
{
	struct label *label = s->label;
	if (label->image == s->image)
		return label->source;
	struct walk w = { .base = s->base };
	__u32 source = 0;
	if (word(s->base + IMAGE_AT_SOURCE_COUNT) > 1) {
		struct file *exe = BPF_CORE_READ(s->task, mm, exe_file);
		if (exe) {
			w.dentry = BPF_CORE_READ(exe, f_path.dentry);
			w.mnt = BPF_CORE_READ(exe, f_path.mnt);
			source = source_of_row(s->base, executable_row(&w, s->task, label->applet));
		}
	}
	label->source = source;
	label->image = s->image;
	return source;
}

#endif
