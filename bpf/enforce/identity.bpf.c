// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Whose a task is: inherited at fork, given to tasks that were there before us by walking over all of them. */
#include "session.h"

SEC("lsm/task_alloc")
int BPF_PROG(on_fork, struct task_struct *task, unsigned long flags, int ret)
{
	if (ret)
		return ret;
	struct label *mine = bpf_task_storage_get(&labels, bpf_get_current_task_btf(), 0, 0);
	if (!mine)
		return 0;
	struct label *its = bpf_task_storage_get(&labels, task, mine, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!its) {
		/* A child without a label would be free of every rule. */
		__sync_fetch_and_add(&settings.unlabelled, 1);
		return -ENOMEM;
	}
	return 0;
}

/*
 * Run by user space after it has told us a place: labels the tasks that are in it already. A task that is labelled
 * keeps its label, unless that is the host's or a dead workload's.
 */
SEC("iter/task")
int label_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	if (!task)
		return 0;
	if (BPF_CORE_READ(task, flags) & PF_KTHREAD)
		return 0;
	struct label *label = bpf_task_storage_get(&labels, task, 0, 0);
	if (label && label->slot != settings.host_slot &&
	    slots[label->slot & SLOT_MASK].generation == label->generation)
		return 0;
	__u64 id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	struct place *place = bpf_map_lookup_elem(&cgroups, &id);
	struct label fresh = {};
	if (place) {
		fresh.slot = place->slot;
		fresh.generation = place->generation;
	} else if (settings.host_slot && !label) {
		fresh.slot = settings.host_slot;
		fresh.generation = settings.host_generation;
	} else {
		return 0;
	}
	label = bpf_task_storage_get(&labels, task, &fresh, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (label) {
		if (!label->exec) {
			label->exec = early_exec(task);
			label->parent_exec = early_exec(BPF_CORE_READ(task, real_parent));
		}
		label->image = 0;
		label->slot = fresh.slot;
		label->generation = fresh.generation;
		if (place)
			settle(label, task, false);
	}
	return 0;
}
