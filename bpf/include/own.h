/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is the agent's own: its process, its state, the directory it runs in, its pins, its program and configuration,
 * the disks below them, its maps and links. No task of a container changes them, whatever it is permitted else.
 *
 * Files are known by inode and found by climbing from the object to the root of its file system. Mounts play no part,
 * so it does not matter by what name, mount or overlay somebody came there.
 */
#ifndef KUBEARMOR_OWN_H
#define KUBEARMOR_OWN_H

#include "report.h"

#define OWN_WHOLE 1  /* it, and all that is below it */
#define OWN_WAY 2    /* it leads to such a place: it may not be moved, removed, or mounted upon */
#define OWN_GROUP 4  /* the agent's control group, or one above: no file right in it */
#define OWN_DEVICE 8 /* a file system with such places */
#define OWN_DISK 16  /* a disk with such a file system */

/* `device` is that of an inode, or says what kind of thing the number is of. */
#define OWN_MAPS 0xffffffffu
#define OWN_LINKS 0xfffffffeu

struct own_key {
	__u64 number; /* 0: the device itself */
	__u32 device;
	__u32 reserved;
};

/* Filled by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct own_key);
	__type(value, __u32);
} own_places SEC(".maps");

static __always_inline __u32 own_marks(__u64 number, __u32 device)
{
	struct own_key key = { .number = number, .device = device };
	__u32 *marks = bpf_map_lookup_elem(&own_places, &key);
	return marks ? *marks : 0;
}

/* Somebody in a container, whether that has rules or not. The host's own administrator may do as he likes. */
static __always_inline bool confined(void)
{
	return belongs(bpf_task_storage_get(&labels, bpf_get_current_task_btf(), 0, 0));
}

static __always_inline bool is_agent(struct task_struct *task)
{
	return BPF_CORE_READ(task, tgid) == settings.agent &&
	       BPF_CORE_READ(task, group_leader, start_boottime) == settings.agent_start;
}

struct own_climb {
	__u64 dentry;
	__u32 device;
	__u32 found;
};

static long own_step(__u32 index, struct own_climb *c)
{
	struct dentry *dentry = (struct dentry *)c->dentry;
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	if (inode) {
		__u32 marks = own_marks(BPF_CORE_READ(inode, i_ino), c->device);
		__u32 counts = index == 0 ? OWN_WHOLE | OWN_WAY : index == 1 ? OWN_WHOLE | OWN_GROUP : OWN_WHOLE;
		c->found |= marks & counts;
	}
	struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
	c->dentry = (__u64)parent;
	return c->found & OWN_WHOLE || parent == dentry;
}

/* OWN_* of the object behind a dentry, or of the one that is about to be made there. */
__noinline __u32 own_standing(__u64 object)
{
	struct dentry *dentry = (struct dentry *)object;
	struct own_climb c = { .dentry = object, .device = BPF_CORE_READ(dentry, d_sb, s_dev) };
	if (!own_marks(0, c.device))
		return 0;
	bpf_loop(MAX_DEPTH, own_step, &c, 0);
	return c.found;
}

/* An object is spelt from its file system's root where its mount is not known. */
__noinline int own_report(__u64 dentry, __u64 mnt, __u32 operation, __u32 error)
{
	struct report *r = new_report(RECORD_ALERT, operation, 0);
	if (!r)
		return 0;
	r->dentry = dentry;
	r->mnt = mnt;
	r->rule = RULE_SELF;
	r->result = -error;
	report();
	return 0;
}

/* Reports and refuses. The verifier wants to see the number that a hook returns. */
static __always_inline int own_refuse(__u64 dentry, __u64 mnt, __u32 operation, int error)
{
	own_report(dentry, mnt, operation, error);
	return -error;
}

/* 0 or a negative errno for a change of the object behind a dentry, or of its name. */
static __always_inline int own_change(struct dentry *dentry, __u32 marks, __u32 operation)
{
	if (!confined())
		return 0;
	__u64 object = number(dentry);
	return own_standing(object) & marks ? own_refuse(object, 0, operation, EACCES) : 0;
}

static __always_inline int own_alter(struct dentry *dentry, __u32 operation)
{
	return own_change(dentry, OWN_WHOLE | OWN_GROUP, operation);
}

static __always_inline int own_move(struct dentry *dentry, __u32 operation)
{
	return own_change(dentry, OWN_WHOLE | OWN_WAY, operation);
}

#endif
