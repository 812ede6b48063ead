// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * System calls that rules audit by name, as they begin: also those that never return. Every call on the machine comes
 * by here while these programs are attached, so most of them leave at once.
 */
#include "call.h"
#include "judge.h"
#include "report.h"

__noinline int audit_call(__u32 base, __u32 image, __u32 call)
{
	struct label *label = bpf_task_storage_get(&labels, bpf_get_current_task_btf(), 0, 0);
	struct plan_query q = { .base = base };
	__u32 rule;
	if (!label)
		return 0;
	q.plan = match_syscall(base, call, current_source(label, base, image));
	judge(&q);
	if (!alerts_of(&q, &rule))
		return 0;
	struct report *r = new_report(RECORD_ALERT, OP_SYSCALL, image);
	if (!r)
		return 0;
	r->rule = rule;
	r->detail[0] = call;
	report();
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_call, struct pt_regs *registers, long number)
{
	struct subject s = {};
	if (!governed(&s))
		return 0;
	__u32 lines = word(s.base + IMAGE_AT_SYSCALL);
	if (!lines)
		return 0;
	__u32 call = call_by_number(s.task, registers, number);
	if (call == NO_CALL)
		return 0;
	/* A line that no rule has a say in is the same for all calls: the one of the last number, which has no name. */
	if (word(s.base + lines + (call & (SYSCALLS - 1))) == word(s.base + lines + SYSCALLS - 1))
		return 0;
	audit_call(s.base, s.image, call);
	return 0;
}
