/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the presets have in common: an act that one of them watches for, judged and reported. */
#ifndef KUBEARMOR_PRESET_H
#define KUBEARMOR_PRESET_H

#include "judge.h"
#include "report.h"

struct act {
	__u64 dentry; /* 0: the object has no path */
	__u64 mnt;
	__u32 base;
	__u32 image;
	__u32 preset;
	__u16 operation;
	__u16 flags;
	__u32 detail[3];
};

/* False for a task whose rules do not ask for the preset. */
static __always_inline bool watched(struct subject *s, __u32 preset)
{
	return governed(s) && match_plan(s->base, IMAGE_AT_PRESET, preset, 0);
}

/* 0, or a negative errno; reports. */
__noinline int judge_act(struct act *act)
{
	if (!act)
		return 0;
	struct plan_query q = {
		.base = act->base,
		.plan = match_plan(act->base, IMAGE_AT_PRESET, act->preset & (PRESETS - 1), 0),
	};
	__u32 rule;
	judge(&q);
	if (!alerts_of(&q, &rule))
		return 0;
	int denied = denies(&q) ? -EACCES : 0;
	struct report *r = new_report(RECORD_ALERT, act->operation, act->image);
	if (!r)
		return denied;
	r->dentry = act->dentry;
	r->mnt = act->mnt;
	r->flags = act->flags;
	r->rule = rule;
	r->result = denied;
	r->detail[0] = act->detail[0];
	r->detail[1] = act->detail[1];
	r->detail[2] = act->detail[2];
	report();
	return denied;
}

/* An act on an open file. */
static __always_inline int judge_file(struct subject *s, __u32 preset, __u16 operation, const struct file *file)
{
	struct act act = {
		.dentry = (__u64)BPF_CORE_READ(file, f_path.dentry),
		.mnt = (__u64)BPF_CORE_READ(file, f_path.mnt),
		.base = s->base,
		.image = s->image,
		.preset = preset,
		.operation = operation,
	};
	return judge_act(&act) ? -EACCES : 0;
}

#endif
