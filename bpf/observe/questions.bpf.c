// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Questions to name servers, as their datagrams leave. Those over TCP are seen as connections only. */
#include "observe_question.h"

#define IP_PROTOCOL 9
#define IP_TO 16

SEC("fentry/ip_send_skb")
int BPF_PROG(on_datagram, void *namespace, struct sk_buff *skb)
{
	struct datagram d;
	__u8 protocol = 0;
	if (!find_datagram(&d, skb))
		return 0;
	bpf_probe_read_kernel(&protocol, 1, (void *)(d.network + IP_PROTOCOL));
	if (protocol != DATAGRAM_PROTOCOL)
		return 0;
	return log_question(&d, AF_INET, d.network + IP_TO, 4);
}
