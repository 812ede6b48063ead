// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sockets of IPv4, IPv6 and packet families: creation, connect, bind, listen, accept, sending and receiving. */
#include "endpoint.h"
#include "judge.h"
#include "report.h"

/*
 * A connection was judged when it was made, but rules may be younger, and who uses it another. Only denials are told of
 * that: the rest was when it was made.
 */
static __always_inline bool is_use(__u32 operation, const struct endpoint *peer)
{
	return operation == OP_SOCKET_RECVMSG || (operation == OP_SOCKET_SENDMSG && !peer);
}

static __always_inline int judge_socket(__u32 family, __u32 type, __u32 protocol, __u32 operation,
				   const struct endpoint *peer)
{
	struct subject s = {};
	int class = match_socket(family, type, protocol);
	if (class < 0 || !governed(&s))
		return 0;
	if (!word(s.base + IMAGE_AT_SOCKET))
		return 0;
	struct plan_query q = { .base = s.base, .facts = facts(s.task, NULL) };
	__u32 rule;
	q.plan = match_plan(s.base, IMAGE_AT_SOCKET, class & (SOCKET_CLASSES - 1),
			    current_source(s.label, s.base, s.image));
	if (!q.plan)
		return 0;
	judge(&q);
	if (!alerts_of(&q, &rule) || (is_use(operation, peer) && !denies(&q)))
		return 0;
	int denied = denies(&q) ? -EACCES : 0;
	struct report *r = new_report(RECORD_ALERT, operation, s.image);
	if (!r)
		return denied;
	r->rule = rule;
	r->result = denied;
	r->detail[0] = family;
	r->detail[1] = type;
	r->detail[2] = protocol;
	if (peer) {
		r->detail[3] = peer->port;
		__builtin_memcpy(r->address, peer->address, sizeof(r->address));
	}
	report();
	return denied;
}

static __always_inline int judge_existing(struct socket *sock, __u32 operation,
					  const struct endpoint *peer)
{
	struct sock *sk = BPF_CORE_READ(sock, sk);
	return judge_socket(BPF_CORE_READ(sk, __sk_common.skc_family), BPF_CORE_READ(sock, type),
			    BPF_CORE_READ(sk, sk_protocol), operation, peer);
}

SEC("lsm/socket_create")
int BPF_PROG(on_create, int family, int type, int protocol, int kern, int ret)
{
	if (ret || kern)
		return ret;
	return judge_socket(family, type, protocol, OP_SOCKET_CREATE, NULL);
}

SEC("lsm/socket_connect")
int BPF_PROG(on_connect, struct socket *sock, struct sockaddr *address, int length, int ret)
{
	struct endpoint e = {};
	if (ret)
		return ret;
	read_endpoint(&e, address, length);
	return judge_existing(sock, OP_SOCKET_CONNECT, &e);
}

SEC("lsm/socket_bind")
int BPF_PROG(on_bind, struct socket *sock, struct sockaddr *address, int length, int ret)
{
	struct endpoint e = {};
	if (ret)
		return ret;
	read_endpoint(&e, address, length);
	return judge_existing(sock, OP_SOCKET_BIND, &e);
}

SEC("lsm/socket_listen")
int BPF_PROG(on_listen, struct socket *sock, int backlog, int ret)
{
	return ret ? ret : judge_existing(sock, OP_SOCKET_LISTEN, NULL);
}

SEC("lsm/socket_accept")
int BPF_PROG(on_accept, struct socket *sock, struct socket *new, int ret)
{
	return ret ? ret : judge_existing(sock, OP_SOCKET_ACCEPT, NULL);
}

SEC("lsm/socket_sendmsg")
int BPF_PROG(on_sendmsg, struct socket *sock, struct msghdr *message, int size, int ret)
{
	struct endpoint e = {};
	if (ret)
		return ret;
	void *name = BPF_CORE_READ(message, msg_name);
	if (!name)
		return judge_existing(sock, OP_SOCKET_SENDMSG, NULL);
	read_endpoint(&e, name, BPF_CORE_READ(message, msg_namelen));
	return judge_existing(sock, OP_SOCKET_SENDMSG, &e);
}

SEC("lsm/socket_recvmsg")
int BPF_PROG(on_recvmsg, struct socket *sock, struct msghdr *message, int size, int flags, int ret)
{
	return ret ? ret : judge_existing(sock, OP_SOCKET_RECVMSG, NULL);
}
