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

#define ARENA_WORDS (1u << 24) /* two of the largest images, because an update needs both for a moment */
#define ARENA_MASK (ARENA_WORDS - 1)
#define SLOTS (1u << 14)
#define SLOT_MASK (SLOTS - 1)
#define MAX_CLIMB 128
#define APPLET_SIZE 32
#define MESSAGE_PATH 4352
#define MESSAGE_ARGS 2048
#define MESSAGE_REST 1024 /* of arguments behind a page's end */
#define MESSAGE_ASKED 4096

/* Images, written by user space through a mapping. Word 0 is never part of an image. */
__u32 arena[ARENA_WORDS] SEC(".bss.arena");

/*
 * One workload. `image` is read and written whole: the image's base in the upper half, its number in the lower
 * half; 0 means no rules. A label is worth something only while its generation is the slot's.
 */
struct slot {
	__u64 image;
	__u32 generation;
	__u16 entered; /* its first process has been seen */
	__u16 visible; /* classes of events that are logged */
	__u64 mounts;  /* the mount namespace that it was started in, an address */
	__u32 mounted; /* it has mounted something itself, so objects may have several names */
	__u32 reserved;
	/* Only ever growing, whoever has the slot. */
	__u64 alerts;      /* raised by its tasks */
	__u64 lost_alerts; /* of these, not sent */
	__u64 read_alerts; /* of these, taken by the agent, which writes it */
	__u64 lost_logs;
};

struct slot slots[SLOTS] SEC(".bss.slots");

struct settings {
	__u64 next_exec;      /* counts programs */
	__u64 host_inode;     /* the root directory of the host */
	__u32 host_device;    /* in the kernel's encoding */
	__u32 five_levels;    /* of page tables */
	__u32 host_slot;      /* 0: the host is not governed */
	__u32 host_generation;
	__u64 lost_alerts;    /* not sent, and nobody's: their slot is not known */
	__u64 lost_execs;     /* the ring was full */
	__u64 unlabelled;     /* forks refused because a label could not be stored */
	__u64 lost_logs;
	__u64 merge_window;   /* ns in which repeats of a log are kept back */
	__u32 host_mounts;    /* inode number of the host's mount namespace */
	__u32 looking;        /* LOOKING_*: what the task iterator is run for */
	__u32 look;           /* counts the looks for old files */
	__u32 old_beyond;     /* the look that found more of them than could be noted */
	__u64 agent_start;    /* ns since boot: its number may be another's one day */
	__u32 agent;          /* thread group */
	__u32 pass_unresolved; /* an object that cannot be followed to the root is permitted */
	__u32 legacy_groups;  /* containers are told by control groups v1 */
	__u32 spare;
};

#define LOOKING_FOR_INSIDE 1 /* once, when the programs have just been attached */
#define LOOKING_FOR_PLACES 0 /* whenever a place was told */

struct settings settings SEC(".bss.settings");

/*
 * The automaton's row behind a directory's path. It holds while nothing on the machine was renamed, mounted or
 * unmounted since; a directory that took the place of another has another inode. `check` mixes the rest, so an entry
 * of which two processors wrote a part each is no entry.
 */
struct directory {
	__u64 dentry;
	__u64 mnt;
	__u64 inode;
	__u64 sequences; /* rename_lock's above mount_lock's */
	__u32 generation;
	__u32 image;
	__u32 row;
	__u32 base;
	__u64 check;
	__u64 reserved;
};

#define DIRECTORIES (1u << 13)

struct directory directories[DIRECTORIES] SEC(".bss.dirs");

/*
 * Whose a task is. Inherited at fork, so it holds through unshare, setns and nested containers. Slot 0: nobody's yet,
 * though it runs in a root of its own.
 */
struct label {
	__u32 slot;
	__u32 generation;
	__u32 image;          /* the image that `source` belongs to, 0: none yet */
	__u32 source;
	__u64 exec;
	__u64 parent_exec;
	__u32 next_image;     /* of the program that is being executed */
	__u32 next_source;
	__u32 session;        /* not of the container's first process: somebody came in from outside */
	__u32 root_device;    /* of the file system that the container was started on */
	char applet[APPLET_SIZE];
	char next_applet[APPLET_SIZE];
	__u64 plain;          /* see plain() */
	__u64 name[8];        /* being stepped */
	struct directory want; /* being looked up */
	__u64 alerted;        /* what the last alert was about: a dentry */
	__u32 alerted_operation;
	__u32 marks;          /* LABEL_* */
	__u32 caller;         /* source class of who executed the program, in image `caller_image` */
	__u32 caller_image;
};

#define LABEL_INSIDE 1 /* it, or who forked it, has executed something outside the host's root */
#define LABEL_HOST 2   /* it belongs to no container */
#define LABEL_LOADER 4 /* its program has no loader: what that maps, it may be about to run */
#define LABEL_NEXT_LOADER 8 /* of the program that is being executed */

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct label);
} labels SEC(".maps");

/* A climb from a dentry to the root of its namespace. */
struct climb {
	__u64 dentry;
	__u64 mount;
	__u32 status;
	__u32 skip;   /* names nearest to the leaf that are not stored */
	__u32 names;
	__u32 stored;
};

/* Names on their way through the automaton. */
struct names {
	__u64 name;
	__u32 left;
	__u32 base;
	__u32 map; /* byte offset of the byte class map */
	__u32 row;
	/* Four would do, but the bound of what is read here is a mask: older verifiers lose a comparison. */
	__u64 bytes[8];
};

#define ARGUMENT_CHUNK 64

/* Arguments of a program, byte by byte. */
struct argument_reader {
	__u64 space;   /* the mm_struct */
	__u64 address;
	__u64 end;
	__u64 page;    /* kernel address of the byte at `address`, 0: ask again */
	char chunk[ARGUMENT_CHUNK]; /* read already */
	__u32 at;
	__u32 chunked;
	__u32 left;    /* arguments not yet ended */
	__u32 base;
	__u32 map;
	__u32 start;
	__u32 row;
	__u32 set;
	__u32 first;
	__u32 outside;
	__u64 name;    /* the binary's own */
	char beginning[ARGUMENT_CHUNK]; /* of that name */
	__u32 length;
	__u32 own;     /* so far the argument equals the binary's name up to here */
	__u32 differs;
	__u32 usual;   /* bytes that it has in common with "busybox" */
	__u32 argc;
};

/* A request to send a record. Kernel pointers travel as numbers: they are only ever probed. */
struct report {
	__u64 dentry; /* 0: the object has no path */
	__u64 mnt;
	__u64 bprm;   /* 0: no arguments */
	__u64 asked;  /* without a dentry: the text that was asked for */
	__u32 asked_size;
	__u32 repeats;
	__u32 args_max;
	__u32 image;
	__u32 rule;
	__s32 result;
	__u16 kind;
	__u16 operation;
	__u16 flags;
	__u16 reserved;
	__u32 owner;
	__u32 detail[4];
	__u8 address[16];
};

/* What is to be resolved, and what came of it. Kernel pointers travel as numbers: they are only ever probed. */
struct target {
	__u64 dentry;
	__u64 mnt;
	__u32 base;
	__u32 row;    /* out */
	__u32 status; /* out */
	__u32 prefix; /* the row is to be gone on from with "/" and a name */
};

/* One access to a file, as guard() judges it. */
struct access {
	__u64 dentry;
	__u64 mnt;
	__u64 owner;     /* the inode whose owner counts: the object, or the directory of a creation */
	__u32 base;
	__u32 image;
	__u32 change;    /* else: reading */
	__u32 metadata;  /* only looking at it */
	__u32 guessed;   /* the mount is one of several candidates */
	__u32 flags;     /* of an open */
	__u32 row;       /* of the object's path, if the caller knows it; else 0 */
	__u32 handed;    /* HANDED_*: opened by somebody else */
	__u32 other;     /* not by the name that was used: only what a rule denies counts */
	__u32 lost;      /* out: its way to the root is not known */
	__u16 operation;
	__u16 alerted;   /* out: something was reported */
	struct target way; /* guard()'s own */
};

#define MAX_DENIALS (1u << 20)

#define HANDED_NOW 1  /* to the program that runs */
#define HANDED_NEXT 2 /* to the program that is being executed */

/* A look through a table of descriptors. */
struct handed {
	__u64 task;
	__u64 files;
	__u64 open;
	__u64 closing;
	__u64 bits;   /* those of a word that are still to be looked at */
	__u32 next;   /* word */
	__u32 words;
	__u32 judged;
	__u32 denied;
	__u32 base;
};

/* A look through the plans of all programs for one object. */
struct denials {
	__u32 base;
	__u32 line;
	__u32 source;
	__u32 sources;
	__u32 step;
	__u32 found;
};

/* The mounts of a file system, one after the other. */
struct mounts {
	__u64 head;
	__u64 cursor;
};

/* A look at an object by the names that other mounts give it. */
struct elsewhere {
	struct mounts mounts;
	__u64 namespace;     /* whose mounts count */
	__u64 used;          /* the mount that need not be looked at: a vfsmount */
	struct target target;
	__u32 image;
	__u32 source;
	__u32 caller;
	__u32 known;         /* the row of the name that was used */
	__u32 denied;
};

/* A rename or a link: both of its names, resolved. */
struct move {
	struct target from;
	struct target to;
	__u32 image;
	__u16 operation;
};

/* Per task, never per CPU: an LSM program can be preempted. */
struct scratch {
	__u64 up[MAX_CLIMB];
	struct climb climb;
	struct names names;
	struct argument_reader arguments;
	__u8 beginning[2 * BINPRM_BUF_SIZE]; /* of a program's file; the verifier is told half of it by a mask */
	struct report report;
	struct access access;
	struct move move;
	struct target subject; /* whose source class is looked up */
	struct elsewhere elsewhere;
	struct handed handed;
	struct denials denials;
	__u64 dentry;
	__u64 mount;
	__u32 base;
	__u32 depth;
	__u32 status;
	__u32 renames;
	__u32 mounts;
	__u32 written; /* bytes of a path that is being spelt */
	__u32 cut;
	__u32 prefix;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct message {
	struct record head;
	/* A bound on each part is all the verifier is told. Newer kernels hold no more than 8 KiB for a task. */
	__u8 data[MESSAGE_PATH + MESSAGE_ARGS + MESSAGE_REST];
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

/* Control group id of a container to its slot. Runtimes and init systems make more of them below a container's own. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4 * SLOTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct place);
} cgroups SEC(".maps");

#define ALERT_RING (1u << 24)

/*
 * Alerts of one workload that may wait while more than half of the ring is taken: a flood in one cannot cost another
 * an alert.
 */
#define ALERT_SHARE 64

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, ALERT_RING);
} alerts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 23);
} programs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 23);
} logs SEC(".maps");

/*
 * A pointer as a plain number, which the verifier lets through to a function of its own. The difference of two
 * pointers is a number, and one of them may be nowhere.
 */
static __always_inline __u64 number(const void *pointer)
{
	if (bpf_ksym_exists(bpf_rdonly_cast))
		return (__u64)bpf_rdonly_cast(pointer, bpf_core_type_id_kernel(struct task_struct)) -
		       (__u64)bpf_rdonly_cast(NULL, bpf_core_type_id_kernel(struct task_struct));
	const void *slot = pointer;
	__u64 value = 0;
	bpf_probe_read_kernel(&value, sizeof(value), &slot);
	return value;
}

/* The same for a pointer that is to be calculated with, without a helper call: by way of the task's own label. */
static __always_inline __u64 plain(struct label *label, const void *pointer)
{
	*(volatile __u64 *)&label->plain = (__u64)pointer;
	return *(volatile __u64 *)&label->plain;
}

static __always_inline __u32 word(__u32 index)
{
	return arena[index & ARENA_MASK];
}

__noinline int arguments_in_set(__u32 base, __u32 set, __u64 program);

/* Up to NAME_PIECE bytes of a name. `bytes`: copied there, on kernels without plain loads, and padded with NUL. */
struct letters {
	__u64 name;
	const __u64 *bytes;
};

/* Eight of such bytes; what is beyond the name's end is NUL. */
static __always_inline __u64 letters_at(struct letters text, __u32 at, __u32 len)
{
	if (!bpf_ksym_exists(bpf_rdonly_cast))
		return text.bytes[at / 8];
	__u64 eight = EIGHT_AT(text.name + at);
	return len - at >= 8 ? eight : eight & ((1ull << ((len - at) * 8 & 63)) - 1);
}

#define IMAGE_BASE __u32
#define IMAGE_WORD(base, index) word((base) + (index))
#define IMAGE_MAP(base) (((base) + word((base) + IMAGE_AT_BYTECLASS)) << 2)
#define IMAGE_CLASS(base, map, byte) (((__u8 *)arena)[((map) + (__u8)(byte)) & (ARENA_WORDS * 4 - 1)])
#define IMAGE_EIGHT(base, index) \
	(*(__u64 *)&((__u8 *)arena)[(((base) + (index)) << 2) & (ARENA_WORDS * 4 - 8)])
#define MATCH_TEXT struct letters
#define MATCH_LETTERS(text, at, len) letters_at(text, at, len)
#define PLAN_CONTEXT __u64 /* the linux_binprm of an exec, else 0 */
/* Who never sees an exec may say so beforehand. */
#ifndef PLAN_ARGUMENTS_IN
#define PLAN_ARGUMENTS_IN(query, set) \
	((query)->context && arguments_in_set((query)->base, set, (query)->context))
#endif
#include "match.h"

/*
 * Stands for the program of a process that was there before we saw programs start. The real ids count up from the
 * time of our start, far below the highest bit.
 */
static __always_inline __u64 early_exec(struct task_struct *task)
{
	return 1ull << 63 | BPF_CORE_READ(task, group_leader, start_boottime);
}

/* Whether a class of events is logged for the workload of a label. */
static __always_inline bool visible(const struct label *label, __u32 class)
{
	const struct slot *slot = &slots[label->slot & SLOT_MASK];
	return slot->generation == label->generation && slot->visible & class;
}

/* The subject of a hook: who acts, and by which image it is judged. */
struct subject {
	struct task_struct *task;
	struct label *label;
	__u64 mounts; /* where objects may have other names than the subject's: a mount namespace; 0: nowhere */
	__u32 base;
	__u32 image;
};

/* A label of somebody who is there still, and not the host's. */
static __always_inline bool belongs(const struct label *label)
{
	return label && label->slot && label->slot != settings.host_slot &&
	       slots[label->slot & SLOT_MASK].generation == label->generation;
}

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
	s->mounts = slot->mounts;
	if (!slot->mounted && s->mounts == (__u64)s->task->nsproxy->mnt_ns)
		s->mounts = 0;
	return s->base != 0;
}

#endif
