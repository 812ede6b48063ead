/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* File rules: one question for every hook that names an object by dentry and mount. */
#ifndef KUBEARMOR_GUARD_H
#define KUBEARMOR_GUARD_H

#include "judge.h"
#include "report.h"

struct access {
	struct subject s;
	struct dentry *dentry;
	struct vfsmount *mnt;
	const struct inode *owner; /* whose owner counts: the object, or the directory of a creation */
	__u32 change;              /* else: reading */
	__u32 metadata;            /* only looking at it */
	__u32 flags;               /* of an open */
	__u16 operation;
	__u16 alerted;             /* out: something was reported */
};

/* 0, or a negative errno; reports what is to be reported. */
static __noinline int guard(struct access *a)
{
	struct subject *s = &a->s;
	__u32 table = a->change ? IMAGE_AT_CHANGE : IMAGE_AT_READ;
	if (!word(s->base + table))
		return 0;
	struct walk w = { .base = s->base, .dentry = a->dentry, .mnt = a->mnt };
	walk(&w, s->task);
	if (w.status == WALK_NO_NAME)
		return 0;
	struct verdict v = { .base = s->base };
	if (w.status == WALK_UNRESOLVED) {
		v.outcome = STEP_DENY;
		v.rule = RULE_UNRESOLVED;
	} else {
		v.plan = plan_of(s->base, table, path_class(s->base, w.row), source_class(s));
		if (!v.plan)
			return 0;
		v.owner = owns(s->task, a->owner);
		v.terminal = has_terminal(s->task);
		judge(&v);
	}
	if (!(v.outcome & (STEP_DENY | STEP_ALERT)))
		return 0;
	if (a->metadata && (!(v.outcome & STEP_DENY) || v.outcome & STEP_POSTURE))
		return 0;
	struct report r = {
		.subject = s,
		.dentry = a->dentry,
		.mnt = a->mnt,
		.kind = RECORD_ALERT,
		.operation = a->operation,
		.rule = v.rule,
		.result = v.outcome & STEP_DENY ? -EACCES : 0,
		.owner = BPF_CORE_READ(a->owner, i_uid.val),
		.flags = w.status == WALK_UNRESOLVED ? RECORD_UNRESOLVED : 0,
	};
	r.detail[0] = a->flags;
	report(&r);
	a->alerted = 1;
	return r.result;
}

#endif
