/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The agent's links, got hold of by their number or undone by a descriptor. */
#ifndef KUBEARMOR_OWN_BPF_H
#define KUBEARMOR_OWN_BPF_H

#include "own.h"

/* The number of the link that a descriptor is of; of another thing's descriptor, anything: then the call fails. */
static __always_inline __u32 link_of(__u32 descriptor)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd);
	struct file *file = NULL;
	if (descriptor < BPF_CORE_READ(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), &files[descriptor]);
	struct bpf_link *link = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(link, id);
}

static __always_inline int guard_bpf(int command, const void *attributes)
{
	__u32 first = 0; /* of all three: which link */
	if (command != BPF_LINK_GET_FD_BY_ID && command != BPF_LINK_UPDATE && command != BPF_LINK_DETACH)
		return 0;
	if (!confined())
		return 0;
	bpf_probe_read_kernel(&first, sizeof(first), attributes);
	__u32 link = command == BPF_LINK_GET_FD_BY_ID ? first : link_of(first);
	return own_marks(link, OWN_LINKS) ? own_refuse(0, 0, OP_BPF, EPERM) : 0;
}

#endif
