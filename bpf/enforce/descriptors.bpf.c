// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Open files that come from somebody else: over a socket, or fetched from another process. */
#include "descriptors.h"

SEC("lsm/file_receive")
int BPF_PROG(on_receive, struct file *file, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (!governed(&s))
		return 0;
	struct access a = {
		.base = s.base,
		.image = s.image,
		.handed = HANDED_NOW,
		.operation = OP_RECEIVE,
	};
	return guard_handed(&a, file) ? -EACCES : 0;
}
