/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The verdict: from an object's class and the subject's source class to the plan that was compiled for the two, and
 * from the plan to an outcome and the rule that gave it.
 */
#ifndef KUBEARMOR_JUDGE_H
#define KUBEARMOR_JUDGE_H

#include "aliases.h"
#include "arguments.h"
#include "state.h"
#include "walk.h"

static __always_inline bool has_terminal(struct task_struct *task)
{
	return FIELD(struct task_struct, task, signal, tty) != NULL;
}

static __always_inline bool owns(struct task_struct *task, const struct inode *inode)
{
	return FIELD(struct task_struct, task, cred, fsuid.val) == FIELD(struct inode, inode, i_uid.val);
}

/* What a loop's callback is given lies on the stack, which is short: so it is given the way there. */
struct judge_loop {
	struct plan_query *query;
};

static long judge_step(__u32 index, struct judge_loop *loop)
{
	return plan_step(index, loop->query);
}

/* Walks the plan with the matcher that the host's tests compare with the law. */
__noinline int judge(struct plan_query *query)
{
	if (!query || !query->plan)
		return 0;
	struct judge_loop loop = { .query = query };
	bpf_loop(PLAN_MAX_STEPS, judge_step, &loop, 0);
	return 0;
}

/* What may be asked of a subject by a step. */
static __always_inline __u32 facts(struct task_struct *task, const struct inode *object)
{
	__u32 held = object && owns(task, object) ? STEP_IF_OWNER : STEP_IF_NOT_OWNER;
	return has_terminal(task) ? held | STEP_IF_TERMINAL : held;
}

static __always_inline bool denies(const struct plan_query *query)
{
	return query->outcome & STEP_DENY;
}

/* Something is to be reported: a denial, a posture, or an audit rule, which takes a posture's place. */
static __always_inline bool alerts_of(const struct plan_query *query, __u32 *rule)
{
	if (!denies(query) && query->found & PLAN_AUDITED) {
		*rule = query->audit_rule;
		return true;
	}
	*rule = query->rule;
	return query->outcome & (STEP_DENY | STEP_ALERT);
}

static long step_chunk(__u32 index, struct loop *loop)
{
	struct names *n = &loop->scratch->names;
	if (!n->left)
		return 1;
	step_some(n);
	return 0;
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
	step_slash(n);
	step_slash(n);
	const char *applet = next ? label->next_applet : label->applet;
	__u32 length = 0;
	while (length < APPLET_SIZE && applet[length])
		length++;
	n->name = number(applet);
	n->left = length;
	bpf_loop(1, step_chunk, &loop, 0);
	t->row = n->row;
	return status;
}

static __always_inline __u32 source_of_row(__u32 base, __u32 row)
{
	if (!row)
		return 0;
	return match_source(base, match_class(base, row));
}

/* Looks the subject's source class up under the present image and keeps it in its label. */
static __always_inline __u32 find_source(struct label *label, __u32 base, __u32 image)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 source = 0;
	if (word(base + IMAGE_AT_SOURCE_COUNT) > 1) {
		struct file *exe = FIELD(struct task_struct, task, mm, exe_file);
		struct scratch *scratch =
			bpf_task_storage_get(&scratches, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (exe && scratch) {
			struct target *t = &scratch->subject;
			t->base = base;
			t->dentry = (__u64)FIELD(struct file, exe, f_path.dentry);
			t->mnt = (__u64)FIELD(struct file, exe, f_path.mnt);
			t->prefix = 0;
			executable(t, 0);
			source = source_of_row(base, t->row);
		}
	}
	label->source = source;
	label->image = image;
	return source;
}

/*
 * Denied by a rule: what counts where an object is reached by another name than the rule's. A posture speaks of names.
 */
static __always_inline bool denied_by_rule(const struct plan_query *query)
{
	return denies(query) && !(query->outcome & STEP_POSTURE);
}

static __always_inline __u32 current_source(struct label *label, __u32 base, __u32 image)
{
	return label->image == image ? label->source : find_source(label, base, image);
}

/*
 * True if it takes no more than a look to see that no rule has a say about an object: what most accesses come down
 * to. False also where the subject's source class must be looked up first, or where the object may have other names.
 */
static __always_inline bool no_plan(const struct subject *s, __u32 table_at, __u32 row, const struct inode *inode)
{
	return row && s->label->image == s->image && !s->mounts && !has_aliases(s->base, inode) &&
	       !match_plan(s->base, table_at, match_class(s->base, row), s->label->source);
}

#endif
