// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The same over IPv6; a kernel may lack it, or have it as a module. */
#include "observe_question.h"

#define IPV6_NEXT 6
#define IPV6_TO 24

SEC("fentry/ip6_send_skb")
int BPF_PROG(on_datagram6, struct sk_buff *skb)
{
	struct datagram d;
	__u8 next = 0;
	if (!find_datagram(&d, skb))
		return 0;
	bpf_probe_read_kernel(&next, 1, (void *)(d.network + IPV6_NEXT));
	if (next != DATAGRAM_PROTOCOL)
		return 0;
	return log_question(&d, AF_INET6, d.network + IPV6_TO, 16);
}
