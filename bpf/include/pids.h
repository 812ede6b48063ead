/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The numbers of a process, one for each pid namespace that sees it. */
#ifndef KUBEARMOR_PIDS_H
#define KUBEARMOR_PIDS_H

#include "kernel.h"

static __always_inline struct upid *upid_at(struct pid *pid, __u32 level)
{
	return (struct upid *)((char *)pid + bpf_core_field_offset(struct pid, numbers) +
			       level * bpf_core_type_size(struct upid));
}

#endif
