/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Entering a container. Every program at the exec hook begins with it, for any of them may be called first. */
#ifndef KUBEARMOR_ENTRY_H
#define KUBEARMOR_ENTRY_H

#include "session.h"

/* The runtime prepares a container from the host's root; its own programs are not the container's. */
static __always_inline bool in_host_root(struct task_struct *task)
{
	struct inode *root = BPF_CORE_READ(task, fs, root.dentry, d_inode);
	return BPF_CORE_READ(root, i_ino) == settings.host_inode &&
	       BPF_CORE_READ(root, i_sb, s_dev) == settings.host_device;
}

/* A task that enters a container does so by executing something in its control group and in its root. */
static __noinline void enter(struct task_struct *task)
{
	__u64 id = bpf_get_current_cgroup_id();
	struct place *place = bpf_map_lookup_elem(&cgroups, &id);
	if (!place || in_host_root(task))
		return;
	struct label *label = bpf_task_storage_get(&labels, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!label)
		return;
	label->slot = place->slot;
	label->generation = place->generation;
	label->image = 0;
	settle(label, task, true);
	if (!label->exec)
		label->exec = early_exec(task);
}

static __always_inline bool belongs(const struct label *label)
{
	return label && label->slot != settings.host_slot &&
	       slots[label->slot & SLOT_MASK].generation == label->generation;
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
