/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What all programs share: the arena of images, the slots that point into it, the labels of tasks, the rings. Every
 * object declares the same maps; the loader makes them one.
 */
#ifndef KUBEARMOR_STATE_H
#define KUBEARMOR_STATE_H

#include "image.h"
#include "kernel.h"
#include "records.h"

#define ARENA_WORDS (1u << 23)
#define ARENA_MASK (ARENA_WORDS - 1)
#define SLOTS (1u << 14)
#define SLOT_MASK (SLOTS - 1)
#define MAX_CLIMB 128
#define APPLET_SIZE 32
#define MESSAGE_PATH 4352
#define MESSAGE_ARGS 4096

/* Images, written by user space through a mapping. Word 0 is never part of an image. */
__u32 arena[ARENA_WORDS] SEC(".bss.arena");

/*
 * One workload. `image` is read and written whole: the image's base in the upper half, its number in the lower
 * half; 0 means no rules. A label is worth something only while its generation is the slot's.
 */
struct slot {
	__u64 image;
	__u32 generation;
	__u32 reserved;
};

struct slot slots[SLOTS] SEC(".bss.slots");

struct settings {
	__u64 next_exec;      /* counts programs */
	__u64 host_inode;     /* the root directory of the host */
	__u32 host_device;    /* in the kernel's encoding */
	__u32 five_levels;    /* of page tables */
	__u32 host_slot;      /* 0: the host is not governed */
	__u32 host_generation;
	__u64 lost_alerts;    /* the ring was full */
	__u64 lost_execs;
	__u64 unlabelled;     /* forks refused because a label could not be stored */
};

struct settings settings SEC(".bss.settings");

/* Whose a task is. Inherited at fork, so it holds through unshare, setns and nested containers. */
struct label {
	__u32 slot;
	__u32 generation;
	__u32 image;          /* the image that `source` belongs to, 0: none yet */
	__u32 source;
	__u64 exec;
	__u64 parent_exec;
	__u32 next_image;     /* of the program that is being executed */
	__u32 next_source;
	char applet[APPLET_SIZE];
	char next_applet[APPLET_SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct label);
} labels SEC(".maps");

/* Per task, never per CPU: an LSM program can be preempted. */
struct scratch {
	__u64 up[MAX_CLIMB];
	__u8 bytes[64];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct message {
	struct record head;
	__u8 data[MESSAGE_PATH + MESSAGE_ARGS];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct message);
} messages SEC(".maps");

struct place {
	__u32 slot;
	__u32 generation;
};

/* Control group id of a container to its slot. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SLOTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct place);
} cgroups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} alerts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 23);
} programs SEC(".maps");

static __always_inline __u32 word(__u32 index)
{
	return arena[index & ARENA_MASK];
}

/* The subject of a hook: who acts, and by which image it is judged. */
struct subject {
	struct task_struct *task;
	struct label *label;
	__u32 base;
	__u32 image;
};

/* False for a task that is not governed, or whose workload has no rules. */
static __always_inline bool governed(struct subject *s)
{
	s->task = bpf_get_current_task_btf();
	s->label = bpf_task_storage_get(&labels, s->task, 0, 0);
	if (!s->label)
		return false;
	struct slot *slot = &slots[s->label->slot & SLOT_MASK];
	if (slot->generation != s->label->generation)
		return false;
	__u64 image = *(volatile __u64 *)&slot->image;
	s->base = image >> 32;
	s->image = (__u32)image;
	return s->base != 0;
}

#endif
