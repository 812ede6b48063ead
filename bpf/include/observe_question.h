/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The log of a question to a name server, read from the datagram as it leaves: the kernel's copy, not the caller's. */
#ifndef KUBEARMOR_OBSERVE_QUESTION_H
#define KUBEARMOR_OBSERVE_QUESTION_H

#include "observe.h"

#define DATAGRAM_PROTOCOL 17
#define DATAGRAM_SOCKET 2
#define DATAGRAM_HEAD 8
#define MESSAGE_HEAD 12
#define MAX_NAME 256
#define NAME_SERVER 53

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sk_buff {
	unsigned char *head;
	unsigned char *data;
	unsigned int len;
	unsigned int data_len;
	__u16 transport_header;
	__u16 network_header;
};

#pragma clang attribute pop

/* A datagram whose message lies in one piece, as all do that fit a packet. */
struct datagram {
	__u64 transport;
	__u64 network;
	__u64 end;
};

static __always_inline bool find_datagram(struct datagram *d, struct sk_buff *skb)
{
	__u64 head = number(BPF_CORE_READ(skb, head));
	__u32 whole = BPF_CORE_READ(skb, len);
	__u32 elsewhere = BPF_CORE_READ(skb, data_len);
	d->transport = head + BPF_CORE_READ(skb, transport_header);
	d->network = head + BPF_CORE_READ(skb, network_header);
	d->end = number(BPF_CORE_READ(skb, data)) + whole - elsewhere;
	return d->transport + DATAGRAM_HEAD + MESSAGE_HEAD < d->end;
}

static __always_inline __u16 two_bytes(__u64 at)
{
	__u16 bytes = 0;
	bpf_probe_read_kernel(&bytes, sizeof(bytes), (void *)at);
	return __builtin_bswap16(bytes);
}

/* `to`: the server's address, `size` bytes of it. */
static __always_inline int log_question(const struct datagram *d, __u32 family, __u64 to, __u32 size)
{
	__u64 message = d->transport + DATAGRAM_HEAD;
	__u64 name = message + MESSAGE_HEAD;
	__u64 room = d->end - name;
	if (two_bytes(d->transport + 2) != NAME_SERVER)
		return 0;
	struct label *label = observed(VISIBLE_DNS);
	/* An answer, or a question without a name. */
	if (!label || two_bytes(message + 2) & 0x8000 || !two_bytes(message + 4))
		return 0;
	struct scratch *s = bpf_task_storage_get(&scratches, bpf_get_current_task_btf(), 0,
						 BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!s)
		return 0;
	/* Behind the name, a NUL at its end, comes the question's type. */
	if (room > MAX_NAME)
		room = MAX_NAME;
	long length = bpf_probe_read_kernel_str(s->up, room & (2 * MAX_NAME - 1), (void *)name);
	if (length <= 0 || name + length + 2 > d->end)
		return 0;
	struct repeat_key key = {
		.exec = label->exec,
		.object = text_key(name, length),
		.port = two_bytes(name + length),
		.operation = OP_DNS_QUERY,
		.kind = family,
	};
	struct report *r = new_log(&key);
	if (!r)
		return 0;
	r->detail[0] = family;
	r->detail[1] = two_bytes(name + length);
	r->detail[2] = DATAGRAM_PROTOCOL;
	r->detail[3] = NAME_SERVER;
	bpf_probe_read_kernel(r->address, size & 31, (void *)to);
	r->asked = name;
	r->asked_size = length;
	report();
	return 0;
}

#endif
