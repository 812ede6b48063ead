/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the observing programs share: whether anybody wants to hear, whether an alert has told already, and the keeping
 * back of repeats. They run behind an operation, when its result is known, and never have a say in it.
 */
#ifndef KUBEARMOR_OBSERVE_H
#define KUBEARMOR_OBSERVE_H

#include "report.h"

/* The same program doing the same to the same object, with the same result. */
struct repeat_key {
	__u64 exec;
	__u64 object;
	__u64 more;
	__u32 port;
	__s32 result;
	__u32 operation;
	__u32 kind;
};

struct repeat {
	__u64 since; /* when it was logged */
	__u64 kept_back;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 14);
	__type(key, struct repeat_key);
	__type(value, struct repeat);
} repeats SEC(".maps");

/* A number for a text: what cannot be opened has no inode to know it by. `size` counts the NUL. */
static __always_inline __u64 text_key(__u64 text, __u32 size)
{
	struct scratch *s = bpf_task_storage_get(&scratches, bpf_get_current_task_btf(), 0,
						 BPF_LOCAL_STORAGE_GET_F_CREATE);
	__u64 key = 0;
	if (!s)
		return 0;
	for (int i = 0; i < 16; i++)
		s->up[i] = 0;
	bpf_probe_read_kernel_str(s->up, size < 128 ? size : 128, (void *)text);
	for (int i = 0; i < 16; i++)
		key = (key ^ s->up[i]) * 0x9e3779b97f4a7c15ull;
	return key;
}

/* The label of the acting task, NULL if a class of events is not logged for its workload. */
static __always_inline struct label *observed(__u32 class)
{
	struct label *label = bpf_task_storage_get(&labels, bpf_get_current_task_btf(), 0, 0);
	return label && visible(label, class) ? label : NULL;
}

/* Whether an alert has just told of this operation; it is asked once. */
static __always_inline bool alert_told(struct label *label, __u32 operation)
{
	if (label->alerted_operation != operation)
		return false;
	label->alerted_operation = 0;
	return true;
}

/* True if the like was logged a moment ago. Else `*count` is how many have been kept back since then. */
static __always_inline bool is_repeat(const struct repeat_key *key, __u32 *count)
{
	__u64 window = settings.merge_window;
	__u64 now = bpf_ktime_get_ns();
	*count = 0;
	if (!window)
		return false;
	struct repeat *known = bpf_map_lookup_elem(&repeats, key);
	if (!known) {
		struct repeat first = { .since = now };
		bpf_map_update_elem(&repeats, key, &first, BPF_ANY);
		return false;
	}
	if (now - known->since < window) {
		__sync_fetch_and_add(&known->kept_back, 1);
		return true;
	}
	*count = known->kept_back;
	known->kept_back = 0;
	known->since = now;
	return false;
}

/* Begins the log of an operation; NULL if it need not be told. */
static __always_inline struct report *new_log(const struct repeat_key *key)
{
	__u32 count;
	if (is_repeat(key, &count))
		return NULL;
	struct report *r = new_report(RECORD_LOG, key->operation, 0);
	if (!r)
		return NULL;
	r->result = key->result;
	r->repeats = count;
	return r;
}

#endif
