// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The agent's links, as the hook was called before 6.15. */
#include "own_bpf.h"

SEC("lsm/bpf")
int BPF_PROG(own_bpf_plain, int command, const void *attributes, unsigned int size, int ret)
{
	return ret ? ret : guard_bpf(command, attributes);
}
