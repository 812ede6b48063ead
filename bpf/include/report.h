/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records: assembled in the task's own buffer, sent in one piece. A full ring or a missing buffer is counted and
 * never changes a verdict.
 */
#ifndef KUBEARMOR_REPORT_H
#define KUBEARMOR_REPORT_H

#include "account.h"
#include "arguments.h"
#include "pids.h"
#include "state.h"
#include "walk.h"

/*
 * The request that report() will send, emptied, in the task's scratch memory: stacks are short. NULL: no memory,
 * which is counted as a lost record.
 */
static __always_inline struct report *new_report(__u16 kind, __u16 operation, __u32 image)
{
	struct scratch *s = bpf_task_storage_get(&scratches, bpf_get_current_task_btf(), 0,
						 BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!s) {
		count_lost(kind, NULL);
		return NULL;
	}
	struct report *r = &s->report;
	__builtin_memset(r, 0, sizeof(*r));
	r->kind = kind;
	r->operation = operation;
	r->image = image;
	return r;
}

struct spell_loop {
	struct scratch *scratch;
	struct message *message;
};

static long spell_one(__u32 index, struct spell_loop *loop)
{
	struct scratch *s = loop->scratch;
	__u64 passed;
	long end = climb(&s->climb, &passed);
	if (!passed)
		return end;
	__u32 len = FIELD(struct dentry, passed, d_name.len);
	const unsigned char *name = FIELD(struct dentry, passed, d_name.name);
	__u32 at = s->written;
	if (len > 255 || at > MESSAGE_PATH - 257) {
		s->cut = 1;
		return 1;
	}
	barrier_var(len);
	len &= 255;
	bpf_probe_read_kernel(&loop->message->data[at], len, name);
	at += len;
	if (at >= MESSAGE_PATH)
		return 1;
	loop->message->data[at] = 0;
	s->written = at + 1;
	return end;
}

/* Writes the names from a dentry to the root, behind what is written already. */
static __always_inline void spell(struct scratch *s, struct message *m, __u64 dentry, __u64 mnt)
{
	struct spell_loop loop = { .scratch = s, .message = m };
	__u32 before = s->written;
	begin_climb(&s->climb, dentry, mount_of((struct vfsmount *)mnt));
	s->cut = 0;
	bpf_loop(MAX_DEPTH, spell_one, &loop, 0);
	__u32 at = s->written;
	if (at != before || s->climb.status == WALK_NO_NAME || at >= MESSAGE_PATH)
		return;
	/* The root has no names. */
	m->data[at] = 0;
	s->written = at + 1;
}

/* What an object without a path calls itself, such as "memfd:x". */
static __always_inline __u32 own_name(struct message *m, struct dentry *dentry)
{
	long len = bpf_probe_read_kernel_str(m->data, 256, BPF_CORE_READ(dentry, d_name.name));
	return len > 0 ? len : 0;
}

/* Pid of a task's thread group as its pid namespace at `level` numbers it; 0 if it is not visible there. */
static __always_inline __u32 pid_at(struct task_struct *task, __u32 level)
{
	struct pid *pid = FIELD(struct task_struct, task, group_leader, thread_pid);
	if (!pid || FIELD(struct pid, pid, level) < level)
		return 0;
	return FIELD(struct upid, upid_at(pid, level), nr);
}

static __always_inline void fill_subject(struct record *r, struct task_struct *task,
					 const struct label *label)
{
	struct task_struct *parent = FIELD(struct task_struct, task, real_parent);
	__u32 level = FIELD(struct task_struct, task, thread_pid, level);

	r->time = bpf_ktime_get_ns();
	r->exec = label->exec;
	r->parent_exec = label->parent_exec;
	r->slot = label->slot;
	r->generation = label->generation;
	r->host_pid = FIELD(struct task_struct, task, tgid);
	r->host_ppid = FIELD(struct task_struct, parent, tgid);
	r->pid = pid_at(task, level);
	r->ppid = pid_at(parent, level);
	r->uid = FIELD(struct task_struct, task, cred, uid.val);
	bpf_get_current_comm(r->comm, sizeof(r->comm));
	struct tty_struct *tty = FIELD(struct task_struct, task, signal, tty);
	r->tty[0] = 0;
	if (tty)
		bpf_probe_read_kernel_str(r->tty, sizeof(r->tty),
					  (char *)tty + bpf_core_field_offset(struct tty_struct, name));
}

static __always_inline void fill_call(struct record *r, struct task_struct *task)
{
	r->syscall = NO_SYSCALL;
	r->descriptor = -1;
#ifdef __TARGET_ARCH_x86
	struct pt_regs___call *regs = (struct pt_regs___call *)bpf_task_pt_regs(task);
	if (!regs || FIELD(struct task_struct, task, thread_info.status) & TS_COMPAT)
		return;
	r->syscall = BPF_CORE_READ(regs, orig_ax);
	r->descriptor = BPF_CORE_READ(regs, di);
#endif
}

/* The object's path; returns its size. */
static __always_inline __u32 fill_path(struct message *m, struct scratch *s)
{
	struct report *q = &s->report;
	struct record *r = &m->head;
	s->written = 0;
	if (q->dentry) {
		spell(s, m, q->dentry, q->mnt);
		if (s->cut)
			r->flags |= RECORD_PATH_CUT;
		if (s->climb.status != WALK_NO_NAME)
			return s->written;
		r->flags |= RECORD_NO_NAME;
		return own_name(m, (struct dentry *)q->dentry);
	}
	if (!q->asked)
		return 0;
	r->flags |= RECORD_ASKED;
	__u32 size = q->asked_size;
	if (size > MESSAGE_ASKED)
		size = MESSAGE_ASKED;
	long length = bpf_probe_read_kernel_str(m->data, size, (void *)q->asked);
	return length > 0 ? length : 0;
}

static __always_inline __u32 fill_cwd(struct message *m, struct scratch *s, __u32 at,
				      struct task_struct *task)
{
	struct fs_struct *fs = FIELD(struct task_struct, task, fs);
	struct dentry *pwd = FIELD(struct fs_struct, fs, pwd.dentry);
	s->written = at;
	if (!pwd)
		return 0;
	spell(s, m, (__u64)pwd, (__u64)FIELD(struct fs_struct, fs, pwd.mnt));
	if (s->cut)
		m->head.flags |= RECORD_CWD_CUT;
	return s->written - at;
}

/* So that the same is not logged as well. Of what is denied, only these hooks have somebody who looks afterwards. */
static __always_inline void remember_alert(struct label *label, const struct report *q)
{
	if (q->result && q->operation != OP_OPEN && q->operation != OP_CAPABLE &&
	    q->operation != OP_SOCKET_CREATE && q->operation != OP_SOCKET_CONNECT)
		return;
	label->alerted = q->dentry;
	label->alerted_operation = q->operation;
}

static __always_inline long send(__u16 kind, struct message *m, __u64 size)
{
	if (kind == RECORD_ALERT)
		return bpf_ringbuf_output(&alerts, m, size, 0);
	if (kind == RECORD_EXEC)
		return bpf_ringbuf_output(&programs, m, size, 0);
	/* The reader looks often enough by itself; waking it for each log would cost more than the log. */
	return bpf_ringbuf_output(&logs, m, size, BPF_RB_NO_WAKEUP);
}

/* The arguments, in two pieces at most: they rarely cross a page. */
static __always_inline __u32 copy_arguments(struct message *m, __u32 at, struct linux_binprm *bprm,
					    struct task_struct *task, __u32 max)
{
	__u64 start = FIELD(struct linux_binprm, bprm, p);
	__u64 end = FIELD(struct linux_binprm, bprm, exec);
	struct mm_struct *mm = FIELD(struct linux_binprm, bprm, mm);
	/* Once the program runs, its memory is the task's own. */
	__u64 space = number(mm ? mm : FIELD(struct task_struct, task, mm));
	__u64 size = end - start;

	if (end <= start || at > MESSAGE_PATH)
		return 0;
	if (size > max)
		size = max;
	if (size >= MESSAGE_ARGS)
		size = MESSAGE_ARGS - 1;
	__u64 first = PAGE_SIZE - (start & (PAGE_SIZE - 1));
	if (first > size)
		first = size;
	__u64 from = resident(space, start);
	if (!from)
		return 0;
	barrier_var(first);
	if (bpf_probe_read_kernel(&m->data[at], first & (MESSAGE_ARGS - 1), (void *)from))
		return 0;
	if (first == size)
		return first;
	from = resident(space, start + first);
	__u64 rest = size - first;
	__u64 behind = at + first;
	barrier_var(behind);
	if (!from || behind >= MESSAGE_PATH + MESSAGE_ARGS)
		return first;
	if (rest > MESSAGE_REST - 1)
		rest = MESSAGE_REST - 1;
	barrier_var(rest);
	rest &= MESSAGE_REST - 1;
	if (bpf_probe_read_kernel(&m->data[behind], rest, (void *)from))
		return first;
	return first + rest;
}

/* Sends what new_report() began. */
__noinline int report(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct label *label = bpf_task_storage_get(&labels, task, 0, 0);
	struct message *m =
		bpf_task_storage_get(&messages, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct scratch *scratch =
		bpf_task_storage_get(&scratches, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!scratch)
		return 0;
	struct report *q = &scratch->report;
	if (label && q->kind == RECORD_ALERT) {
		remember_alert(label, q);
		if (!count_alert(label->slot))
			return 0;
	}
	if (!m || !label) {
		count_lost(q->kind, label);
		return 0;
	}
	struct record *r = &m->head;
	r->version = RECORD_VERSION;
	r->kind = q->kind;
	r->operation = q->operation;
	r->flags = q->flags;
	r->image = q->image;
	r->rule = q->rule;
	r->result = q->result;
	r->owner = q->owner;
	__builtin_memcpy(r->detail, q->detail, sizeof(r->detail));
	__builtin_memcpy(r->address, q->address, sizeof(r->address));
	r->repeats = q->repeats;
	r->reserved = 0;
	fill_subject(r, task, label);
	fill_call(r, task);
	__u32 size = fill_path(m, scratch);
	if (size > MESSAGE_PATH)
		size = MESSAGE_PATH;
	r->path_size = size;
	__u32 cwd = fill_cwd(m, scratch, size, task);
	if (cwd > MESSAGE_PATH)
		cwd = MESSAGE_PATH;
	r->cwd_size = cwd;
	size += cwd;
	if (size > MESSAGE_PATH)
		size = MESSAGE_PATH;
	__u32 args = 0;
	if (q->bprm)
		args = copy_arguments(m, size, (struct linux_binprm *)q->bprm, task,
				      q->args_max);
	r->args_size = args;
	__u64 total = sizeof(*r) + size + args;
	if (total > sizeof(*m))
		total = sizeof(*m);
	if (send(q->kind, m, total))
		count_lost(q->kind, label);
	return 0;
}

#endif
