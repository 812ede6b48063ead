// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Whose a task is: inherited at fork, given to tasks that were there before us by walking over all of them. */
#include "applet.h"
#include "session.h"

/* What is not known of a task because it was there before us, as far as it can still be found out. */
static __always_inline void label_early(struct label *label, struct task_struct *task)
{
	label->exec = early_exec(task);
	label->parent_exec = early_exec(BPF_CORE_READ(task, real_parent));
	find_own_applet(label, task);
}

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

/* Whose a task is that has no label worth something; slot 0: nobody's. */
static __always_inline struct place claimed(const struct label *label, struct task_struct *task)
{
	struct place nobody = {};
	struct place host = { settings.host_slot, settings.host_generation };
	struct place place = place_of(task);
	/* What is left of a container that is gone does not become the host's. */
	if (!place.slot)
		return label && label->slot && !(label->marks & LABEL_HOST) ? nobody : host;
	/* A runtime at its preparations enters with the program that it is about to become. */
	return label && label->marks & LABEL_INSIDE ? place : nobody;
}

/* Tasks that were there before us and are not the host's own. A chroot to the host's files does not hide them. */
static __always_inline void note_inside(struct label *label, struct task_struct *task)
{
	if (label)
		return;
	if (in_host_root(task) && BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum) == settings.host_mounts)
		return;
	label = bpf_task_storage_get(&labels, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!label)
		return;
	label->marks = LABEL_INSIDE;
	label_early(label, task);
}

/* Whoever runs the iterator is the agent, by whatever number its own namespace knows it. */
static __always_inline void note_agent(void)
{
	struct task_struct *agent = bpf_get_current_task_btf();
	settings.agent_start = BPF_CORE_READ(agent, group_leader, start_boottime);
	settings.agent = BPF_CORE_READ(agent, tgid);
}

/*
 * Run by user space: once when the programs have just been attached, and whenever it has told a place, to label the
 * tasks that are in it already. A task that is labelled keeps its label, unless that is the host's or a dead
 * workload's.
 */
SEC("iter/task")
int label_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	if (!task || BPF_CORE_READ(task, flags) & PF_KTHREAD)
		return 0;
	struct label *label = bpf_task_storage_get(&labels, task, 0, 0);
	if (settings.looking == LOOKING_FOR_INSIDE) {
		note_agent();
		note_inside(label, task);
		return 0;
	}
	if (belongs(label))
		return 0;
	struct place place = claimed(label, task);
	if (!place.slot)
		return 0;
	if (label && label->slot == place.slot && label->generation == place.generation)
		return 0;
	if (!label) {
		label = bpf_task_storage_get(&labels, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (!label)
			return 0;
		label_early(label, task);
	}
	label->image = 0;
	label->slot = place.slot;
	label->generation = place.generation;
	if (place.slot == settings.host_slot) {
		label->marks |= LABEL_HOST;
		return 0;
	}
	label->marks = LABEL_INSIDE;
	settle(label, task, false);
	return 0;
}
