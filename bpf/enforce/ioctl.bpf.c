// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Requests to an open file. */
#include "requests.h"

SEC("lsm/file_ioctl")
int BPF_PROG(on_ioctl, struct file *file, unsigned int request, unsigned long argument, int ret)
{
	return ret ? ret : guard_request(file, request);
}
