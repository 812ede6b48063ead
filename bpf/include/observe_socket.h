/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The log of what was done with a socket. */
#ifndef KUBEARMOR_OBSERVE_SOCKET_H
#define KUBEARMOR_OBSERVE_SOCKET_H

#include "endpoint.h"
#include "observe.h"

struct socket_use {
	__u32 operation;
	__u32 family;
	__u32 type;
	__u32 protocol;
	__s32 result;
	__u32 path_size;
	__u64 path; /* of a local socket's address */
	struct endpoint end;
};

static __always_inline void read_socket(struct socket_use *use, struct socket *sock)
{
	struct sock *sk = BPF_CORE_READ(sock, sk);
	use->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	use->type = (__u16)BPF_CORE_READ(sock, type);
	use->protocol = BPF_CORE_READ(sk, sk_protocol);
}

static __always_inline int log_socket(struct label *label, const struct socket_use *use)
{
	struct repeat_key key = {
		.exec = label->exec,
		.port = use->end.port,
		.result = use->result,
		.operation = use->operation,
		.kind = use->family << 24 | use->type << 16 | use->protocol,
	};
	__builtin_memcpy(&key.object, use->end.address, 16);
	if (use->path)
		key.object = text_key(use->path, use->path_size);
	struct report *r = new_log(&key);
	if (!r)
		return 0;
	r->detail[0] = use->end.family ? use->end.family : use->family;
	r->detail[1] = use->type;
	r->detail[2] = use->protocol;
	r->detail[3] = use->end.port;
	__builtin_memcpy(r->address, use->end.address, sizeof(r->address));
	r->asked = use->path;
	r->asked_size = use->path_size;
	report();
	return 0;
}

static __always_inline int log_bind(struct socket *sock, const void *address, int length, int result)
{
	struct label *label = observed(VISIBLE_NETWORK);
	if (!label || alert_told(label, OP_SOCKET_BIND))
		return 0;
	struct socket_use use = { .operation = OP_SOCKET_BIND, .result = result };
	read_socket(&use, sock);
	read_endpoint(&use.end, address, length);
	return log_socket(label, &use);
}

/* Sending to an address. A connected socket was seen when it connected. */
static __always_inline int log_send(struct socket *sock, struct msghdr *message, int result)
{
	void *name = BPF_CORE_READ(message, msg_name);
	if (!name)
		return 0;
	struct label *label = observed(VISIBLE_NETWORK);
	if (!label || alert_told(label, OP_SOCKET_SENDMSG))
		return 0;
	struct socket_use use = { .operation = OP_SOCKET_SENDMSG, .result = result < 0 ? result : 0 };
	read_socket(&use, sock);
	read_endpoint(&use.end, name, BPF_CORE_READ(message, msg_namelen));
	return log_socket(label, &use);
}

#endif
