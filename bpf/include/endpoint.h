/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One end of a connection, read from an address that the kernel has copied. */
#ifndef KUBEARMOR_ENDPOINT_H
#define KUBEARMOR_ENDPOINT_H

#include "kernel.h"

struct endpoint {
	__u16 family;
	__u16 port;
	__u8 address[16];
};

/* The address has been copied into the kernel by the time a hook sees it. */
static __always_inline void read_endpoint(struct endpoint *e, const void *address, __u32 length)
{
	if (length < 8)
		return;
	bpf_probe_read_kernel(&e->family, 2, address);
	if (e->family == AF_INET) {
		bpf_probe_read_kernel(&e->port, 2, address + 2);
		bpf_probe_read_kernel(e->address, 4, address + 4);
	} else if (e->family == AF_INET6 && length >= 24) {
		bpf_probe_read_kernel(&e->port, 2, address + 2);
		bpf_probe_read_kernel(e->address, 16, address + 8);
	}
	e->port = __builtin_bswap16(e->port);
}

#endif
