// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The agent's maps: a descriptor of one would change rules, labels and places, or take alerts out of the rings. */
#include "own.h"

SEC("lsm/bpf_map")
int BPF_PROG(own_map, struct bpf_map *map, unsigned int mode, int ret)
{
	if (ret || !confined())
		return ret;
	return own_marks(BPF_CORE_READ(map, id), OWN_MAPS) ? own_refuse(0, 0, OP_BPF, EPERM) : 0;
}
