// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Questions to name servers as programs hand them to a socket. What is read here is still the caller's memory, so this
 * is for the answer that the caller gets; dns_egress.bpf.c judges what leaves. Attached while some rule is on names.
 */
#include "dns.h"
#include "judge.h"
#include "report.h"

#define SOCK_RAW 3
#define TCP_SYN_SENT 2
#define TCP_CLOSE 7
#define MSG_MORE 0x8000
#define MSG_ZEROCOPY 0x4000000
#define UDP_FLAGS_CORK 1
#define MAX_QUESTION_TURNS 65536

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock_common___peer {
	__u16 skc_family;
	__u8 skc_state;
	__u16 skc_dport;
	__u32 skc_daddr;
	struct {
		__u8 bytes[16];
	} skc_v6_daddr;
};

struct sock___peer {
	struct sock_common___peer __sk_common;
};

struct udp_sock {
	int pending; /* a datagram is being put together */
	unsigned long udp_flags;
};

/* Before 6.6 */
struct udp_sock___older {
	unsigned int corkflag;
};

struct tcp_sock {
	__u32 write_seq;
};

enum iter_type {
	ITER_UBUF,
	ITER_IOVEC,
};

struct iov_iter___list {
	__u8 iter_type;
	unsigned long iov_offset;
	unsigned long count;
	const void *__iov;
	void *ubuf;
	unsigned long nr_segs;
};

/* Before 6.4 */
struct iov_iter___older {
	const void *iov;
};

struct msghdr___data {
	struct iov_iter___list msg_iter;
	unsigned int msg_flags;
};

#pragma clang attribute pop

struct iovec {
	__u64 base;
	__u64 length;
};

/* Per task: what is read of one call. */
struct asking {
	struct question question;
	__u32 base;
	__u32 map;
	__u32 source;
	__u32 event;
	__u64 vectors;  /* the next of the caller's buffers, 0: there is but one */
	__u32 vector_count;
	__u32 skip;     /* of the next buffer */
	__u64 address;  /* of the next byte */
	__u64 length;   /* of the buffer from there on */
	__u64 left;     /* of all buffers */
	__u32 failed;   /* not all could be read */
	__u32 denied;
	__u32 rule;
	__u8 name[256];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct asking);
} askings SEC(".maps");

struct asking_loop {
	struct asking *asking;
};

static __always_inline bool next_buffer(struct asking *a)
{
	struct iovec v = {};
	if (!a->vectors || !a->vector_count)
		return false;
	bpf_probe_read_kernel(&v, sizeof(v), (void *)a->vectors);
	a->vectors += sizeof(v);
	a->vector_count--;
	__u64 skip = a->skip;
	a->skip = 0;
	a->address = v.base + skip;
	a->length = v.length > skip ? v.length - skip : 0;
	return true;
}

static __always_inline void judge_asked(struct asking *a, __u32 event)
{
	struct plan_query q = { .base = a->base };
	/* Whether there is more to come is known when it leaves. */
	if (event == QUESTION_NAMELESS)
		return;
	q.plan = question_plan(a->base, &a->question, event, a->source);
	judge_question(&q);
	if (!(q.outcome & STEP_DENY))
		return;
	a->denied = 1;
	a->event = event;
	a->rule = q.rule;
}

/* One byte, or a change to the next buffer. */
static long ask_one(__u32 index, struct asking_loop *loop)
{
	struct asking *a = loop->asking;
	__u8 byte = 0;
	if (!a->left)
		return 1;
	if (!a->length)
		return !next_buffer(a);
	__u64 most = a->length < a->left ? a->length : a->left;
	__u32 passed = question_skip(&a->question, most > 65535 ? 65535 : most);
	if (passed) {
		a->address += passed;
		a->length -= passed;
		a->left -= passed;
		return 0;
	}
	if (bpf_probe_read_user(&byte, 1, (void *)a->address)) {
		a->failed = 1;
		return 1;
	}
	__u8 at = a->question.at;
	if (at == QUESTION_AT_LABEL || at == QUESTION_AT_NAME)
		a->name[a->question.length] = byte;
	__u32 event = question_byte(a->base, a->map, &a->question, byte);
	a->address++;
	a->length--;
	a->left--;
	if (event)
		judge_asked(a, event);
	return a->denied != 0;
}

/* Where the caller's data lies; false if it is none of a program's. */
static __always_inline bool find_buffers(struct asking *a, struct msghdr___data *m)
{
	__u32 type = BPF_CORE_READ(m, msg_iter.iter_type);
	__u64 offset = BPF_CORE_READ(m, msg_iter.iov_offset);
	a->left = BPF_CORE_READ(m, msg_iter.count);
	a->vectors = 0;
	a->vector_count = 0;
	a->length = 0;
	a->skip = 0;
	if (bpf_core_enum_value_exists(enum iter_type, ITER_UBUF) &&
	    type == bpf_core_enum_value(enum iter_type, ITER_UBUF)) {
		a->address = (__u64)BPF_CORE_READ(m, msg_iter.ubuf) + offset;
		a->length = a->left;
		return true;
	}
	if (type != bpf_core_enum_value(enum iter_type, ITER_IOVEC))
		return false;
	if (bpf_core_field_exists(m->msg_iter.__iov)) {
		a->vectors = (__u64)BPF_CORE_READ(m, msg_iter.__iov);
	} else {
		struct iov_iter___older *older = (void *)&m->msg_iter;
		a->vectors = (__u64)BPF_CORE_READ(older, iov);
	}
	a->vector_count = BPF_CORE_READ(m, msg_iter.nr_segs);
	a->skip = offset;
	return true;
}

/* How a call hands data over. */
struct call {
	bool stream;
	bool pending; /* to a datagram that was begun by earlier calls */
	bool more;    /* later calls go on with it */
};

static __always_inline bool is_stream(__u32 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP;
}

static __always_inline bool is_datagram(__u32 protocol)
{
	return protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE;
}

/* The program has said that what it sends is to become one datagram, until it says otherwise. */
static __always_inline bool is_corked(const struct sock *sk)
{
	struct udp_sock *udp = (struct udp_sock *)sk;
	struct udp_sock___older *older = (struct udp_sock___older *)sk;
	if (bpf_core_field_exists(udp->udp_flags))
		return BPF_CORE_READ(udp, udp_flags) & UDP_FLAGS_CORK;
	return bpf_core_field_exists(older->corkflag) && BPF_CORE_READ(older, corkflag);
}

/*
 * Where the reader stands before this call's data: at a beginning, or behind what earlier calls have handed over.
 * False if some of that was not seen; then nothing is said here.
 */
static __always_inline bool begin_asking(struct asking *a, struct asker *asker, struct sock___peer *sk,
					 struct call *c, __u32 image)
{
	if (asker->asking == ASKING_LOST)
		return false;
	if (c->stream) {
		__u32 next = BPF_CORE_READ((struct tcp_sock *)sk, write_seq);
		/* A part of what was handed over was not taken, or another thread's came between. */
		if (asker->asking == ASKING_MORE && asker->asked_next != next) {
			asker->asking = ASKING_LOST;
			return false;
		}
		asker->asked_next = next;
		asker->asked.segment = 0;
		/* It was open before anybody looked: what is in its queue went by the rules of that time. */
		__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
		if (!asker->in_step && state != TCP_CLOSE && state != TCP_SYN_SENT) {
			asker->sent_next = next;
			asker->sent.segment = 0;
			question_begin(a->base, &asker->sent);
			asker->sent_image = image;
			asker->in_step = 1;
		}
	} else if (asker->asking == ASKING_NOTHING) {
		if (c->pending)
			return false;
		/* How long it will be when it is complete is not known yet. */
		asker->asked.segment = c->more ? 65535 : a->left;
	}
	if (asker->asking == ASKING_NOTHING)
		question_begin(a->base, &asker->asked);
	else
		resume_question(&asker->asked, &asker->asked_image, a->base, image);
	asker->asked_image = image;
	a->question = asker->asked;
	__builtin_memcpy(a->name, asker->name, sizeof(a->name));
	return true;
}

static __always_inline void end_asking(struct asking *a, struct asker *asker, __u32 size, struct call *c)
{
	asker->asked = a->question;
	asker->asked_next += size;
	if (!c->stream && !c->more)
		asker->asking = ASKING_NOTHING;
	else
		asker->asking = a->failed ? ASKING_LOST : ASKING_MORE;
	__builtin_memcpy(asker->name, a->name, sizeof(a->name));
}

struct peer {
	__u16 family;
	__u16 port;
	__u8 address[16];
};

static __always_inline void read_name(struct peer *p, const void *name, __u32 length)
{
	if (length < 8)
		return;
	bpf_probe_read_kernel(&p->family, 2, name);
	bpf_probe_read_kernel(&p->port, 2, name + 2);
	if (p->family == AF_INET6 && length >= 24)
		bpf_probe_read_kernel(p->address, 16, name + 8);
	else
		bpf_probe_read_kernel(p->address, 4, name + 4);
	p->port = __builtin_bswap16(p->port);
}

static __always_inline void read_peer(struct peer *p, struct sock___peer *sk)
{
	p->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	p->port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (p->family == AF_INET6)
		bpf_core_read(p->address, 16, &sk->__sk_common.skc_v6_daddr);
	else
		bpf_core_read(p->address, 4, &sk->__sk_common.skc_daddr);
}

/* Notes who asks: what leaves the socket later may leave it from anywhere. */
static __always_inline void note_asker(struct asker *asker, struct subject *s, __u32 source, __u16 type,
				       __u32 protocol, const struct peer *peer)
{
	struct record *r = &asker->who;
	r->version = RECORD_VERSION;
	r->kind = RECORD_ALERT;
	r->operation = OP_DNS_QUERY;
	r->image = s->image;
	r->detail[0] = peer->family;
	r->detail[1] = type;
	r->detail[2] = protocol;
	r->detail[3] = peer->port;
	__builtin_memcpy(r->address, peer->address, sizeof(r->address));
	fill_subject(r, s->task, s->label);
	fill_call(r, s->task);
	asker->source = source;
	asker->to_port = 1;
}

static __always_inline int refuse(const struct asking *a, const struct asker *asker)
{
	struct query_alert *alert = new_query_alert(&asker->who, a->rule, -EACCES);
	if (!alert)
		return -EACCES;
	if (a->event == QUESTION_NAMED) {
		__builtin_memcpy(alert->name, a->name, sizeof(alert->name));
		alert->head.path_size = sizeof(alert->name);
	} else if (a->event == QUESTION_UNREADABLE) {
		alert->head.flags = RECORD_UNRESOLVED;
	}
	bpf_ringbuf_submit(alert, 0);
	return -EACCES;
}

static __always_inline int ask(struct asker *asker, struct subject *s, struct sock___peer *sk,
			       struct msghdr___data *m, struct call *c)
{
	struct asking_loop loop = {};
	struct asking *a = bpf_task_storage_get(&askings, s->task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!a)
		return 0;
	loop.asking = a;
	a->base = s->base;
	a->map = IMAGE_MAP(s->base);
	a->source = asker->source;
	a->failed = 0;
	a->denied = 0;
	if (BPF_CORE_READ(m, msg_flags) & MSG_ZEROCOPY) {
		/* Memory that changes behind the kernel's back is no question that can be judged. */
		judge_asked(a, QUESTION_UNREADABLE);
		return a->denied ? refuse(a, asker) : 0;
	}
	if (!find_buffers(a, m))
		return 0;
	__u32 size = a->left;
	if (!begin_asking(a, asker, sk, c, s->image))
		return 0;
	bpf_loop(MAX_QUESTION_TURNS, ask_one, &loop, 0);
	if (a->denied)
		return refuse(a, asker);
	end_asking(a, asker, size, c);
	return 0;
}

static __always_inline __u8 state_of(const struct sock *sk)
{
	return BPF_CORE_READ((struct sock___peer *)sk, __sk_common.skc_state);
}

/* Only what goes to name servers is looked at, and raw packets, which may go anywhere. */
static __always_inline struct asker *asker_of(struct sock *sk, __u32 type, struct subject *s, __u32 protocol,
					      const struct peer *peer, bool connects)
{
	bool raw = type == SOCK_RAW;
	if (!raw && !is_stream(protocol) && !is_datagram(protocol))
		return NULL;
	struct asker *asker = bpf_sk_storage_get(&askers, sk, 0, 0);
	/* Each datagram may go elsewhere; a stream that is open stays what it is. */
	if (asker && connects && (is_datagram(protocol) || state_of(sk) == TCP_CLOSE)) {
		asker->to_port = 0;
		asker->asking = ASKING_NOTHING;
		asker->refused = 0;
	}
	if (!raw && peer->port != DNS_PORT)
		return NULL;
	if (!asker)
		asker = bpf_sk_storage_get(&askers, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!asker)
		return NULL;
	note_asker(asker, s, current_source(s->label, s->base, s->image), type, protocol, peer);
	asker->to_port = !raw;
	return asker;
}

static __always_inline bool has_questions(struct subject *s, const struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family != AF_INET && family != AF_INET6)
		return false;
	return governed(s) && word(s->base + IMAGE_AT_DNS);
}

SEC("lsm/socket_connect")
int BPF_PROG(on_dns_connect, struct socket *sock, struct sockaddr *address, int length, int ret)
{
	struct subject s = {};
	struct peer peer = {};
	struct sock *sk = sock->sk;
	if (ret || !sk || !has_questions(&s, sk))
		return ret;
	read_name(&peer, address, length);
	asker_of(sk, sock->type, &s, BPF_CORE_READ(sk, sk_protocol), &peer, true);
	return 0;
}

SEC("lsm/socket_sendmsg")
int BPF_PROG(on_dns_send, struct socket *sock, struct msghdr *message, int size, int ret)
{
	struct subject s = {};
	struct peer peer = {};
	struct sock *sk = sock->sk;
	struct msghdr___data *m = (struct msghdr___data *)message;
	if (ret || !sk || !has_questions(&s, sk))
		return ret;
	__u32 protocol = BPF_CORE_READ(sk, sk_protocol);
	struct call c = { .stream = is_stream(protocol) };
	struct asker *known = bpf_sk_storage_get(&askers, sk, 0, 0);
	if (known && known->refused)
		return -EACCES;
	void *name = BPF_CORE_READ(message, msg_name);
	c.pending = is_datagram(protocol) && BPF_CORE_READ((struct udp_sock *)sk, pending);
	c.more = BPF_CORE_READ(m, msg_flags) & MSG_MORE || (is_datagram(protocol) && is_corked(sk));
	if (name && !c.pending)
		read_name(&peer, name, BPF_CORE_READ(message, msg_namelen));
	else
		read_peer(&peer, (struct sock___peer *)sk);
	/* Wherever addresses are translated to, the program meant a name server; a datagram goes where it began to. */
	if (known && known->to_port && (!name || c.pending))
		peer.port = DNS_PORT;
	if (known && !c.pending && !c.stream)
		known->asking = ASKING_NOTHING;
	struct asker *asker = asker_of(sk, sock->type, &s, protocol, &peer, name && !c.pending);
	if (!asker || sock->type == SOCK_RAW)
		return 0;
	return ask(asker, &s, (struct sock___peer *)sk, m, &c);
}
