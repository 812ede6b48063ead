// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Truncating an open file, where that has a hook of its own (6.2 and later; before it is a change by path). */
#include "names.h"

SEC("lsm/file_truncate")
int BPF_PROG(on_file_truncate, struct file *file, int ret)
{
	return ret ? ret : guard_open_file(file, OP_TRUNCATE);
}
