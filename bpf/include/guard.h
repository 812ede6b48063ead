/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* File rules: one question for every hook that names an object by dentry and mount. */
#ifndef KUBEARMOR_GUARD_H
#define KUBEARMOR_GUARD_H

#include "judge.h"
#include "report.h"

/*
 * Begins the access that guard() is asked about, in the task's scratch memory: stacks are short. NULL: no memory, and
 * nobody may do what cannot be judged.
 */
static __always_inline struct scratch *new_access(const struct subject *s, __u16 operation)
{
	struct scratch *scratch = bpf_task_storage_get(&scratches, s->task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!scratch)
		return NULL;
	struct access *a = &scratch->access;
	__builtin_memset(a, 0, sizeof(*a));
	a->base = s->base;
	a->image = s->image;
	a->operation = operation;
	return scratch;
}

/* 0, or a negative errno; reports what is to be reported. The caller has found the subject governed. */
__noinline int guard(struct access *a)
{
	if (!a)
		return 0;
	__u32 table = a->change ? IMAGE_AT_CHANGE : IMAGE_AT_READ;
	if (!word(a->base + table))
		return 0;
	__u32 row = a->row;
	bool unresolved = false;
	if (!row) {
		struct target *t = &a->way;
		t->base = a->base;
		t->dentry = a->dentry;
		t->mnt = a->mnt;
		t->prefix = 0;
		resolve(t);
		if (t->status == WALK_NO_NAME || (t->status != WALK_OK && a->guessed))
			return 0;
		unresolved = t->status != WALK_OK;
		a->lost = unresolved;
		/* Who mounts something looks at it first. */
		if (unresolved && (settings.pass_unresolved || a->metadata))
			return 0;
		row = t->row;
	}
	struct task_struct *task = bpf_get_current_task_btf();
	const struct inode *owner = (const struct inode *)a->owner;
	struct plan_query q = { .base = a->base };
	__u32 rule;
	if (unresolved) {
		q.outcome = STEP_DENY;
		q.rule = RULE_UNRESOLVED;
	} else {
		struct label *label = bpf_task_storage_get(&labels, task, 0, 0);
		if (!label)
			return 0;
		__u32 source = a->handed == HANDED_NEXT ? label->next_source :
							  current_source(label, a->base, a->image);
		q.plan = match_plan(a->base, table, match_class(a->base, row), source);
		if (!q.plan)
			return 0;
		q.facts = facts(task, owner);
		judge(&q);
	}
	if (!alerts_of(&q, &rule))
		return 0;
	if (a->handed && !denies(&q))
		return 0;
	if (a->other && !denied_by_rule(&q))
		return 0;
	if (a->metadata && (!denies(&q) || q.outcome & STEP_POSTURE))
		return 0;
	int denied = denies(&q) ? -EACCES : 0;
	struct report *r = new_report(RECORD_ALERT, a->operation, a->image);
	a->alerted = 1;
	if (!r)
		return denied;
	r->dentry = a->dentry;
	r->mnt = a->mnt;
	r->rule = rule;
	r->result = denied;
	r->owner = BPF_CORE_READ(owner, i_uid.val);
	r->flags = unresolved ? RECORD_UNRESOLVED : 0;
	r->detail[0] = a->flags;
	report();
	return denied;
}

#endif
