// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Questions to name servers as they leave: the packet is the kernel's own by now, whatever calls and buffers it was
 * made of. Who asks is what dns.bpf.c noted on the socket, since a packet of a stream may leave in any context; else
 * the control group that the socket was made in tells the workload. Attached while some rule is on names.
 */
/* Rules on names have no conditions on arguments. */
#define PLAN_ARGUMENTS_IN(query, set) 0
#include "dns.h"

#define PASS 1
#define DROP 0

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define IPV4_FRAGMENT 0x3fff /* more fragments, or not the first one */
#define IPV6_FRAGMENT_HEADER 44
#define IPV6_MAX_HEADERS 8
#define TCP_SYN 2
#define MAX_BYTES 65536

/* A packet that may hold questions. */
struct packet {
	__u32 protocol;
	__u32 transport; /* offset of its header */
	__u32 port;
	__u32 fragment;
};

/* Reading one packet; on the stack, since two of one socket may leave at the same time. */
struct reading {
	__u32 base;
	__u32 map;
	__u32 source;
	__u32 image;
	__u32 at;    /* offset of the next byte */
	__u32 end;
	__u32 name;  /* offset of the name that is being read, or of what the packet has of it */
	__u32 event; /* of question.h */
	__u32 told;  /* the event raises an alert, of this rule */
	__u32 rule;
	__u32 denied;
	struct question question;
};

struct leaving {
	struct __sk_buff *skb;
	struct asker *asker;
	struct reading reading;
};

static __always_inline bool ipv6_extends(__u8 header)
{
	/* hop-by-hop, routing, destination options, mobility, and what only raw packets have */
	return header == 0 || header == 43 || header == 60 || header == 135 || header == 139 || header == 140;
}

static __always_inline bool find_transport_v6(struct __sk_buff *skb, struct packet *p)
{
	__u8 next = 0;
	__u8 header[2] = {};
	__u32 at = 40;
	if (bpf_skb_load_bytes(skb, 6, &next, 1))
		return false;
	for (int i = 0; i < IPV6_MAX_HEADERS; i++) {
		if (!ipv6_extends(next) && next != IPV6_FRAGMENT_HEADER)
			break;
		if (bpf_skb_load_bytes(skb, at, header, 2))
			return false;
		if (next == IPV6_FRAGMENT_HEADER)
			p->fragment = 1;
		at += next == IPV6_FRAGMENT_HEADER ? 8 : (header[1] + 1) * 8;
		next = header[0];
	}
	p->protocol = next;
	p->transport = at;
	return true;
}

static __always_inline bool find_transport(struct __sk_buff *skb, struct packet *p)
{
	__u8 first = 0, protocol = 0;
	__u16 fragment = 0;
	if (skb->protocol == __builtin_bswap16(ETH_P_IPV6))
		return find_transport_v6(skb, p);
	if (skb->protocol != __builtin_bswap16(ETH_P_IP))
		return false;
	if (bpf_skb_load_bytes(skb, 0, &first, 1) || bpf_skb_load_bytes(skb, 6, &fragment, 2) ||
	    bpf_skb_load_bytes(skb, 9, &protocol, 1))
		return false;
	p->transport = (first & 15) * 4;
	p->protocol = protocol;
	p->fragment = !!(__builtin_bswap16(fragment) & IPV4_FRAGMENT);
	return true;
}

static __always_inline bool find_port(struct __sk_buff *skb, struct packet *p)
{
	__u16 port = 0;
	if (!find_transport(skb, p))
		return false;
	if (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP && p->protocol != IPPROTO_UDPLITE)
		return false;
	if (bpf_skb_load_bytes(skb, p->transport + 2, &port, 2))
		return false;
	p->port = __builtin_bswap16(port);
	return true;
}

/*
 * The next functions are global, so that the verifier proves them once, for whatever a reading holds, and not once for
 * every turn of the loop.
 */

/* What becomes of an event. */
__noinline int judge_leaving(struct reading *r, __u32 event)
{
	if (!r)
		return 0;
	struct plan_query q = { .base = r->base };
	q.plan = question_plan(r->base, &r->question, event, r->source);
	judge_question(&q);
	r->event = event;
	r->denied = !!(q.outcome & STEP_DENY);
	r->told = r->denied || q.found & PLAN_AUDITED || q.outcome & STEP_ALERT;
	r->rule = !r->denied && q.found & PLAN_AUDITED ? q.audit_rule : q.rule;
	return 0;
}

/* True if bytes were passed over. */
__noinline int pass_over(struct reading *r)
{
	if (!r)
		return 0;
	__u32 passed = question_skip(&r->question, r->end - r->at);
	r->at += passed;
	return passed != 0;
}

/* True if the byte completes something. */
__noinline int take_byte(struct reading *r, __u32 byte)
{
	if (!r)
		return 0;
	if (r->question.at == QUESTION_AT_LABEL && !r->question.length)
		r->name = r->at;
	__u32 event = question_byte(r->base, r->map, &r->question, byte);
	r->at++;
	if (!event)
		return 0;
	judge_leaving(r, event);
	return 1;
}

static __always_inline void tell(const struct leaving *l)
{
	const struct reading *r = &l->reading;
	if (!r->told)
		return;
	struct query_alert *alert = new_query_alert(&l->asker->who, r->rule, r->denied ? -EACCES : 0);
	if (!alert)
		return;
	__u32 size = r->at - r->name;
	alert->head.image = r->image;
	if (r->event == QUESTION_UNREADABLE) {
		alert->head.flags = RECORD_UNRESOLVED;
	} else if (r->event == QUESTION_NAMED && size) {
		size = (size - 1) & 255;
		if (!bpf_skb_load_bytes(l->skb, r->name, alert->name, size + 1))
			alert->head.path_size = size + 1;
	}
	bpf_ringbuf_submit(alert, 0);
}

static long read_one(__u32 index, struct leaving *l)
{
	__u8 byte = 0;
	if (l->reading.at >= l->reading.end)
		return 1;
	if (pass_over(&l->reading))
		return 0;
	if (bpf_skb_load_bytes(l->skb, l->reading.at, &byte, 1))
		return 1;
	if (!take_byte(&l->reading, byte))
		return 0;
	tell(l);
	return l->reading.denied != 0;
}

/* True if something in the packet is refused. */
static __always_inline bool read_all(struct leaving *l)
{
	l->reading.name = l->reading.at;
	bpf_loop(MAX_BYTES, read_one, l, 0);
	return l->reading.denied;
}

static __always_inline bool read_datagram(struct leaving *l, const struct packet *p)
{
	struct reading *r = &l->reading;
	r->at = p->transport + 8;
	if (p->fragment || r->at >= r->end) {
		/* Nobody sends questions in fragments of his own making. */
		judge_leaving(r, p->fragment ? QUESTION_UNREADABLE : QUESTION_NAMELESS);
		tell(l);
		return r->denied;
	}
	r->question.segment = l->skb->gso_size;
	if (!r->question.segment)
		r->question.segment = r->end - r->at;
	question_begin(r->base, &r->question);
	return read_all(l);
}

/* The bytes of a stream are read once, in order; what is sent again has been judged. */
static __always_inline bool read_stream(struct leaving *l, const struct packet *p)
{
	struct asker *asker = l->asker;
	struct reading *r = &l->reading;
	__u8 offset = 0, flags = 0;
	__u32 number = 0;
	if (bpf_skb_load_bytes(l->skb, p->transport + 4, &number, 4) ||
	    bpf_skb_load_bytes(l->skb, p->transport + 12, &offset, 1) ||
	    bpf_skb_load_bytes(l->skb, p->transport + 13, &flags, 1))
		return true;
	number = __builtin_bswap32(number);
	r->at = p->transport + (offset >> 4) * 4;
	if (flags & TCP_SYN) {
		number++;
		asker->in_step = 0;
	}
	if (r->at >= r->end)
		return false;
	if (asker->refused)
		return true;
	__s32 known = asker->sent_next - number;
	__u32 length = r->end - r->at;
	/* Under other rules it may have gone on unseen. */
	if (!asker->in_step || (known < 0 && asker->sent_image != r->image)) {
		question_begin(r->base, &asker->sent);
		asker->sent_next = number;
		asker->sent_image = r->image;
		asker->in_step = 1;
		known = 0;
	}
	/* A gap closes before the other side can read on. */
	if (known < 0)
		return true;
	if (known >= length)
		return false;
	r->at += known;
	resume_question(&asker->sent, &asker->sent_image, r->base, r->image);
	r->question = asker->sent;
	if (read_all(l)) {
		asker->refused = 1;
		return true;
	}
	asker->sent = r->question;
	asker->sent_next = number + length;
	return false;
}

/*
 * Whose a socket is that nobody was seen to send on: the workload of its control group. A socket has none in version 1,
 * and a number of version 2 may be another group's there.
 */
static __always_inline struct asker *stranger(struct __sk_buff *skb, struct bpf_sock *sk, const struct packet *p)
{
	if (settings.legacy_groups)
		return NULL;
	__u64 id = bpf_skb_cgroup_id(skb);
	struct place *place = bpf_map_lookup_elem(&cgroups, &id);
	if (!place)
		return NULL;
	struct asker *asker = bpf_sk_storage_get(&askers, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!asker)
		return NULL;
	asker->who.version = RECORD_VERSION;
	asker->who.kind = RECORD_ALERT;
	asker->who.operation = OP_DNS_QUERY;
	asker->who.syscall = NO_SYSCALL;
	asker->who.descriptor = -1;
	asker->who.slot = place->slot;
	asker->who.generation = place->generation;
	asker->who.detail[0] = sk->family;
	asker->who.detail[2] = p->protocol;
	asker->who.detail[3] = p->port;
	return asker;
}

SEC("cgroup_skb/egress")
int on_dns_egress(struct __sk_buff *skb)
{
	struct packet p = {};
	struct leaving l = { .skb = skb };
	struct bpf_sock *sk = skb->sk;
	if (!sk)
		return PASS;
	sk = bpf_sk_fullsock(sk);
	if (!sk || !find_port(skb, &p))
		return PASS;
	struct asker *asker = bpf_sk_storage_get(&askers, sk, 0, 0);
	if (p.port != DNS_PORT && !(asker && asker->to_port))
		return PASS;
	if (!asker)
		asker = stranger(skb, sk, &p);
	if (!asker)
		return PASS;
	struct slot *slot = &slots[asker->who.slot & SLOT_MASK];
	__u64 published = *(volatile __u64 *)&slot->image;
	if (slot->generation != asker->who.generation)
		return PASS;
	struct reading *r = &l.reading;
	r->base = published >> 32;
	r->image = (__u32)published;
	if (!r->base || !word(r->base + IMAGE_AT_DNS))
		return PASS;
	l.asker = asker;
	r->map = IMAGE_MAP(r->base);
	r->source = asker->who.image == r->image ? asker->source : 0;
	r->end = skb->len;
	if (p.protocol == IPPROTO_TCP)
		return read_stream(&l, &p) ? DROP : PASS;
	return read_datagram(&l, &p) ? DROP : PASS;
}
