// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The agent's links, as the hook is called since 6.15. */
#include "own_bpf.h"

SEC("lsm/bpf")
int BPF_PROG(own_bpf, int command, const void *attributes, unsigned int size, bool kernel, int ret)
{
	return ret || kernel ? ret : guard_bpf(command, attributes);
}
