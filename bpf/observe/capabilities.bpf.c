// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Capabilities that were asked for in order to use them. */
#include "observe.h"

SEC("fexit/security_capable")
int BPF_PROG(after_capable, const struct cred *cred, struct user_namespace *ns, int capability,
	     unsigned int options, int result)
{
	struct label *label = options & CAP_OPT_NOAUDIT ? NULL : observed(VISIBLE_CAPABILITIES);
	if (!label || alert_told(label, OP_CAPABLE))
		return 0;
	struct repeat_key key = {
		.exec = label->exec,
		.object = capability,
		.result = result,
		.operation = OP_CAPABLE,
	};
	struct report *r = new_log(&key);
	if (!r)
		return 0;
	r->detail[0] = capability;
	report();
	return 0;
}
