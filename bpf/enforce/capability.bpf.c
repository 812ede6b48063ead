// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Capabilities, in whatever user namespace they are asked for. */
#include "judge.h"
#include "report.h"

#define CAP_SYS_RESOURCE 24

/*
 * An overlay reads and writes its own notes in the layers below with the rights of whoever mounted it, here the
 * container runtime: a container that has lost SYS_ADMIN must not lose sight of its files. Such borrowed rights can
 * be told by the one that an overlay gives up, SYS_RESOURCE. The only other way to act with borrowed rights of one's
 * own choice is io_uring, so a task that uses it is always judged.
 */
static __always_inline bool acts_for_overlay(struct task_struct *task, const struct cred *cred)
{
	__u64 permitted = 0, effective = 0;
	if (number(BPF_CORE_READ(task, real_cred)) == number(cred))
		return false;
	if (BPF_CORE_READ(task, flags) & PF_IO_WORKER)
		return false;
	if (bpf_core_field_exists(task->io_uring) && BPF_CORE_READ(task, io_uring))
		return false;
	bpf_core_read(&permitted, sizeof(permitted), &cred->cap_permitted);
	bpf_core_read(&effective, sizeof(effective), &cred->cap_effective);
	return permitted & ~effective & 1ull << CAP_SYS_RESOURCE;
}

SEC("lsm/capable")
int BPF_PROG(on_capable, const struct cred *cred, struct user_namespace *ns, int capability,
	     unsigned int options, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (!governed(&s))
		return 0;
	if (!word(s.base + IMAGE_AT_CAPABILITY))
		return 0;
	if (acts_for_overlay(s.task, cred))
		return 0;
	struct plan_query q = { .base = s.base, .facts = facts(s.task, NULL) };
	__u32 rule;
	q.plan = match_plan(s.base, IMAGE_AT_CAPABILITY, capability & (CAPABILITIES - 1),
			    current_source(s.label, s.base, s.image));
	judge(&q);
	if (!alerts_of(&q, &rule))
		return 0;
	int denied = denies(&q) ? -EPERM : 0;
	/* Only asking: the answer counts, but nothing was attempted. */
	if (options & CAP_OPT_NOAUDIT)
		return denied;
	struct report *r = new_report(RECORD_ALERT, OP_CAPABLE, s.image);
	if (!r)
		return denied;
	r->rule = rule;
	r->result = denied;
	r->detail[0] = capability;
	report();
	return denied;
}
