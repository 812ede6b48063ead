/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The accounts of what was raised and what could not be handed over, by workload, and each one's share of the ring.
 */
#ifndef KUBEARMOR_ACCOUNT_H
#define KUBEARMOR_ACCOUNT_H

#include "state.h"

/* `label` may be NULL: then it is nobody's. */
static __always_inline void count_lost(__u16 kind, const struct label *label)
{
	struct slot *slot = label ? &slots[label->slot & SLOT_MASK] : NULL;
	if (kind == RECORD_ALERT)
		__sync_fetch_and_add(slot ? &slot->lost_alerts : &settings.lost_alerts, 1);
	else if (kind == RECORD_EXEC)
		__sync_fetch_and_add(&settings.lost_execs, 1);
	else
		__sync_fetch_and_add(slot ? &slot->lost_logs : &settings.lost_logs, 1);
}

/* Counts one more alert of a workload. False if it must not take more of the ring, which is counted, too. */
static __always_inline bool count_alert(__u32 number)
{
	struct slot *slot = &slots[number & SLOT_MASK];
	__sync_fetch_and_add(&slot->alerts, 1);
	if (bpf_ringbuf_query(&alerts, BPF_RB_AVAIL_DATA) < ALERT_RING / 2)
		return true;
	__s64 waiting = slot->alerts - slot->lost_alerts - slot->read_alerts;
	if (waiting <= ALERT_SHARE)
		return true;
	__sync_fetch_and_add(&slot->lost_alerts, 1);
	return false;
}

#endif
