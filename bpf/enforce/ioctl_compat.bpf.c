// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Requests to an open file, made by a program of 32 bits. */
#include "requests.h"

SEC("lsm/file_ioctl_compat")
int BPF_PROG(on_ioctl_compat, struct file *file, unsigned int request, unsigned long argument, int ret)
{
	return ret ? ret : guard_request(file, request);
}
