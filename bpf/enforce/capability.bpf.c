// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Capabilities, in whatever user namespace they are asked for. */
#include "judge.h"
#include "report.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

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
	/*
	 * The kernel sometimes works with somebody else's credentials in a task's name, an overlay with those of who
	 * mounted it: that is not the task's attempt. With io_uring a task can choose such credentials itself.
	 */
	if (cred != s.task->real_cred && !s.task->io_uring)
		return 0;
	struct verdict v = { .base = s.base };
	v.plan = plan_of(s.base, IMAGE_AT_CAPABILITY, capability & (CAPABILITIES - 1), current_source(s.label, s.base, s.image));
	v.terminal = has_terminal(s.task);
	judge(&v);
	if (!(v.outcome & (STEP_DENY | STEP_ALERT)))
		return 0;
	int denied = v.outcome & STEP_DENY ? -EPERM : 0;
	/* Only asking: the answer counts, but nothing was attempted. */
	if (options & CAP_OPT_NOAUDIT)
		return denied;
	struct report *r = new_report(RECORD_ALERT, OP_CAPABLE, s.image);
	if (!r)
		return denied;
	r->rule = v.rule;
	r->result = denied;
	r->detail[0] = capability;
	report();
	return denied;
}
