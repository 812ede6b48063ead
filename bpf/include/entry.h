/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Entering a container. Every program at the exec hook begins with it, for any of them may be called first. */
#ifndef KUBEARMOR_ENTRY_H
#define KUBEARMOR_ENTRY_H

#include "session.h"

/*
 * A task enters a container by executing something in its control group and outside the host's root: what the runtime
 * prepares in there before is not the container's. That it has done so is noted also where the place is not known yet,
 * so that it can be told from the runtime when the place comes.
 */
static __noinline void enter(struct task_struct *task)
{
	if (in_host_root(task))
		return;
	struct label *label = bpf_task_storage_get(&labels, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!label)
		return;
	label->marks |= LABEL_INSIDE;
	if (!label->exec)
		label->exec = early_exec(task);
	struct place place = place_of(task);
	if (!place.slot)
		return;
	label->marks = LABEL_INSIDE;
	label->slot = place.slot;
	label->generation = place.generation;
	label->image = 0;
	settle(label, task, true);
}

/* False for a task that is nobody's. */
static __always_inline bool entered(struct subject *s)
{
	s->task = bpf_get_current_task_btf();
	s->label = bpf_task_storage_get(&labels, s->task, 0, 0);
	if (belongs(s->label))
		return true;
	enter(s->task);
	s->label = bpf_task_storage_get(&labels, s->task, 0, 0);
	return s->label != NULL;
}

#endif
