/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is known of a socket that asks name servers: who asks, and how far its questions have been read. Twice: as they
 * are handed to the socket (`asked`), so that a program that is refused hears it in the words of a policy, and as they
 * leave (`sent`), where nobody can change them any more and nothing gets by.
 */
#ifndef KUBEARMOR_DNS_H
#define KUBEARMOR_DNS_H

#include "account.h"
#include "state.h"
#include "question.h"

#define DNS_PORT 53
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_UDPLITE 136
#define IPPROTO_MPTCP 262

/* How `asked` stands to what the socket has been handed. */
#define ASKING_NOTHING 0 /* before a first byte */
#define ASKING_MORE 1    /* within a datagram, or in step with the stream */
#define ASKING_LOST 2    /* something was not seen */

struct asker {
	struct record who;   /* the alert's head: the task that sent last */
	__u32 source;        /* its source class in the image of `who` */
	__u32 to_port;       /* it sends to the port of name servers, whatever addresses are translated to on the way */
	struct question asked;
	__u32 asked_image;
	__u32 asked_next;    /* stream: number of the byte that `asked` stands before */
	struct question sent;
	__u32 sent_image;
	__u32 sent_next;     /* stream: number of the byte that `sent` stands before */
	__u8 asking;         /* ASKING_* */
	__u8 in_step;        /* `sent` is in step with the stream */
	__u8 refused;        /* the stream: its rest goes nowhere */
	__u8 reserved;
	__u8 name[256];      /* being asked for, as in the message */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct asker);
} askers SEC(".maps");

/* The outcome for one name. Rules on names have no conditions, so the first step of each kind holds. */
static __always_inline void judge_question(struct plan_query *q)
{
	if (!q->plan)
		return;
	plan_step(0, q);
	if (!(q->outcome & STEP_DENY))
		plan_step(word(q->base + q->plan) & 0xffff, q);
}

/* An alert that names a domain, as it lies in the message. */
struct query_alert {
	struct record head;
	__u8 name[256];
};

/* NULL where the ring is full, which is counted and changes no verdict. */
static __always_inline struct query_alert *new_query_alert(const struct record *who, __u32 rule, __s32 result)
{
	if (!count_alert(who->slot))
		return NULL;
	struct query_alert *alert = bpf_ringbuf_reserve(&alerts, sizeof(*alert), 0);
	if (!alert) {
		__sync_fetch_and_add(&slots[who->slot & SLOT_MASK].lost_alerts, 1);
		return NULL;
	}
	alert->head = *who;
	alert->head.rule = rule;
	alert->head.result = result;
	alert->head.time = bpf_ktime_get_ns();
	return alert;
}

/* Goes on reading under an image; a name that was begun under another cannot be followed to its end. */
static __always_inline void resume_question(struct question *q, __u32 *read_by, __u32 base, __u32 image)
{
	if (*read_by == image)
		return;
	*read_by = image;
	if (q->at == QUESTION_AT_NAME || (q->at == QUESTION_AT_LABEL && q->length))
		q->lost = 1;
	q->row = word(base + IMAGE_AT_DNS_START);
}

#endif
