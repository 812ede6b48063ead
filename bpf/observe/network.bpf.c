// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sockets: made, connected, bound, listening, accepting, sending without connect. */
#include "observe_socket.h"

#define BEFORE_PATH 2 /* bytes of a local address */

SEC("fexit/__sock_create")
int BPF_PROG(after_create, void *namespace, int family, int type, int protocol, struct socket **made,
	     int kern, int result)
{
	struct label *label = kern ? NULL : observed(VISIBLE_NETWORK);
	if (!label || alert_told(label, OP_SOCKET_CREATE))
		return 0;
	struct socket_use use = {
		.operation = OP_SOCKET_CREATE,
		.family = family,
		.type = type & 0xf,
		.protocol = protocol,
		.result = result,
	};
	return log_socket(label, &use);
}

/* The name of an abstract address begins behind a NUL, which the port tells. */
static __always_inline void read_path(struct socket_use *use, __u64 address, __u32 length)
{
	char first = 0;
	if (length <= BEFORE_PATH)
		return;
	use->path = address + BEFORE_PATH;
	bpf_probe_read_kernel(&first, 1, (void *)use->path);
	use->path_size = length - BEFORE_PATH + 1;
	use->end.port = !first;
	use->path += !first;
	use->path_size -= !first;
}

SEC("fexit/__sys_connect_file")
int BPF_PROG(after_connect, struct file *file, void *address, int length, int flags, int result)
{
	struct label *label = observed(VISIBLE_NETWORK);
	if (!label || alert_told(label, OP_SOCKET_CONNECT))
		return 0;
	struct socket_use use = { .operation = OP_SOCKET_CONNECT, .result = result };
	read_endpoint(&use.end, address, length);
	/* No family: the end of a connection. */
	if (!use.end.family)
		return 0;
	read_socket(&use, BPF_CORE_READ(file, private_data));
	if (use.end.family == AF_UNIX)
		read_path(&use, number(address), length);
	return log_socket(label, &use);
}

SEC("fexit/inet_bind")
int BPF_PROG(after_bind, struct socket *sock, void *address, int length, int result)
{
	return log_bind(sock, address, length, result);
}

SEC("fexit/inet_listen")
int BPF_PROG(after_listen, struct socket *sock, int backlog, int result)
{
	struct label *label = observed(VISIBLE_NETWORK);
	if (!label || alert_told(label, OP_SOCKET_LISTEN))
		return 0;
	struct socket_use use = { .operation = OP_SOCKET_LISTEN, .result = result };
	read_socket(&use, sock);
	struct sock *sk = BPF_CORE_READ(sock, sk);
	use.end.family = use.family;
	use.end.port = BPF_CORE_READ(sk, __sk_common.skc_num);
	if (use.family == AF_INET6) {
		BPF_CORE_READ_INTO(&use.end.address, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
	} else {
		__u32 address = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
		__builtin_memcpy(use.end.address, &address, sizeof(address));
	}
	return log_socket(label, &use);
}

/* Kernels differ in what comes behind the two sockets. */
SEC("fexit/inet_accept")
int BPF_PROG(after_accept, struct socket *sock, struct socket *peer)
{
	__u64 result = 0;
	struct label *label = observed(VISIBLE_NETWORK);
	if (!label || alert_told(label, OP_SOCKET_ACCEPT) || bpf_get_func_ret(ctx, &result))
		return 0;
	/* Nobody has come yet, or never will. */
	if ((int)result)
		return 0;
	struct socket_use use = { .operation = OP_SOCKET_ACCEPT };
	read_socket(&use, peer);
	struct sock *sk = BPF_CORE_READ(peer, sk);
	use.end.family = use.family;
	use.end.port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (use.family == AF_INET6) {
		BPF_CORE_READ_INTO(&use.end.address, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
	} else {
		__u32 address = BPF_CORE_READ(sk, __sk_common.skc_daddr);
		__builtin_memcpy(use.end.address, &address, sizeof(address));
	}
	return log_socket(label, &use);
}

SEC("fexit/inet_sendmsg")
int BPF_PROG(after_send, struct socket *sock, struct msghdr *message, __u64 size, int result)
{
	return log_send(sock, message, result);
}
