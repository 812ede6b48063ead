/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a task came into its container: with the container's first process, or as a session that somebody started in it
 * from outside. Found when the task is labelled, and inherited, so that leaving one's parents does not change it.
 */
#ifndef KUBEARMOR_SESSION_H
#define KUBEARMOR_SESSION_H

#include "pids.h"
#include "state.h"

#define MAX_ANCESTORS 256
#define MAX_GROUPS 64 /* from a control group up to the root */

#define CAME_FIRST 0
#define CAME_LATER 1
#define CAME_UNTOLD 2 /* the container shares its pid namespace with others, or with the host */

/* The runtime prepares a container from the host's root; its own programs are not the container's. */
static __always_inline bool in_host_root(struct task_struct *task)
{
	struct inode *root = FIELD(struct task_struct, task, fs, root.dentry, d_inode);
	return FIELD(struct inode, root, i_ino) == settings.host_inode &&
	       FIELD(struct inode, root, i_sb, s_dev) == settings.host_device;
}

struct search {
	__u64 cgroup;
	struct place place; /* slot 0: none */
};

static long search_one(__u32 index, struct search *s)
{
	struct cgroup *cgroup = (struct cgroup *)s->cgroup;
	__u64 id = BPF_CORE_READ(cgroup, kn, id);
	struct place *place = bpf_map_lookup_elem(&cgroups, &id);
	struct cgroup_subsys_state *parent = BPF_CORE_READ(cgroup, self.parent);
	if (place)
		s->place = *place;
	s->cgroup = (__u64)BPF_CORE_READ(parent, cgroup);
	return place || !parent;
}

/*
 * The group in the hierarchy of `devices`: no runtime starts a container on control groups v1 without one there. All
 * hierarchies number their groups anew, so only those of one are ever compared.
 */
static __always_inline struct cgroup *legacy_group(struct css_set *groups)
{
	if (!bpf_core_enum_value_exists(enum cgroup_subsys_id, devices_cgrp_id))
		return NULL;
	__u64 place = bpf_core_field_offset(struct css_set, subsys) +
		      bpf_core_enum_value(enum cgroup_subsys_id, devices_cgrp_id) * sizeof(void *);
	struct cgroup_subsys_state *state = NULL;
	bpf_probe_read_kernel(&state, sizeof(state), (void *)groups + place);
	return BPF_CORE_READ(state, cgroup);
}

/* By its control group or the nearest one above: a container may make groups of its own at any time. */
static __always_inline struct place place_of(struct task_struct *task)
{
	struct css_set *groups = BPF_CORE_READ(task, cgroups);
	struct cgroup *group = settings.legacy_groups ? legacy_group(groups) : BPF_CORE_READ(groups, dfl_cgrp);
	struct search s = { .cgroup = (__u64)group };
	bpf_loop(MAX_GROUPS, search_one, &s, 0);
	return s.place;
}

static __always_inline __u32 slot_of(struct task_struct *task)
{
	return place_of(task).slot;
}

struct ancestry {
	__u64 task;
	__u32 slot;
};

static long climb_ancestry(__u32 index, struct ancestry *a)
{
	struct task_struct *task = (struct task_struct *)a->task;
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);
	if (slot_of(parent) != a->slot)
		return 1;
	a->task = (__u64)parent;
	return 0;
}

/* By the oldest of its ancestors in the container. */
static __always_inline __u32 came(const struct ancestry *a)
{
	struct task_struct *top = (struct task_struct *)a->task;
	struct pid *pid = BPF_CORE_READ(top, group_leader, thread_pid);
	struct upid *own = upid_at(pid, BPF_CORE_READ(pid, level));
	if (BPF_CORE_READ(own, nr) == 1)
		return CAME_FIRST;
	return slot_of(BPF_CORE_READ(own, ns, child_reaper)) == a->slot ? CAME_LATER : CAME_UNTOLD;
}

/*
 * Completes a label that has its slot. `entering`: the task is just coming in; else it was there before us, and where
 * nothing tells it counts as the container's own.
 */
static __always_inline void settle(struct label *label, struct task_struct *task, bool entering)
{
	struct slot *slot = &slots[label->slot & SLOT_MASK];
	struct ancestry a = { .task = number(task), .slot = label->slot };
	bpf_loop(MAX_ANCESTORS, climb_ancestry, &a, 0);
	__u32 how = came(&a);
	if (how == CAME_UNTOLD)
		how = entering && slot->entered ? CAME_LATER : CAME_FIRST;
	slot->entered = 1;
	label->session = how;
	struct task_struct *top = (struct task_struct *)a.task;
	label->root_device = BPF_CORE_READ(top, fs, root.dentry, d_inode, i_sb, s_dev);
	if (!slot->mounts)
		slot->mounts = (__u64)BPF_CORE_READ(top, nsproxy, mnt_ns);
}

#endif
