// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What IPv6 has functions of its own for; a kernel may lack it, or have it as a module. */
#include "observe_socket.h"

SEC("fexit/inet6_bind")
int BPF_PROG(after_bind6, struct socket *sock, void *address, int length, int result)
{
	return log_bind(sock, address, length, result);
}

SEC("fexit/inet6_sendmsg")
int BPF_PROG(after_send6, struct socket *sock, struct msghdr *message, __u64 size, int result)
{
	return log_send(sock, message, result);
}
