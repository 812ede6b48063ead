/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records: assembled in the task's own buffer, sent in one piece. A full ring or a missing buffer is counted and
 * never changes a verdict.
 */
#ifndef KUBEARMOR_REPORT_H
#define KUBEARMOR_REPORT_H

#include "arguments.h"
#include "state.h"
#include "walk.h"

struct report {
	struct subject *subject;
	struct dentry *dentry; /* NULL: the object has no path */
	struct vfsmount *mnt;
	struct linux_binprm *bprm; /* NULL: no arguments */
	__u32 args_max;
	__u32 rule;
	__s32 result;
	__u16 kind;
	__u16 operation;
	__u16 flags;
	__u32 owner;
	__u32 detail[4];
	__u8 address[16];
};

struct spell {
	struct climb c;
	struct message *message;
	__u32 size;
	__u32 cut;
};

static long spell_one(__u32 index, struct spell *p)
{
	struct dentry *dentry = p->c.dentry;
	__u32 names = p->c.names;
	long end = climb_one(index, &p->c);
	if (p->c.names == names)
		return end;
	__u32 len = BPF_CORE_READ(dentry, d_name.len);
	const unsigned char *name = BPF_CORE_READ(dentry, d_name.name);
	__u32 at = p->size;
	if (len > 255 || at > MESSAGE_PATH - 257) {
		p->cut = 1;
		return 1;
	}
	len &= 255;
	bpf_probe_read_kernel(&p->message->data[at], len, name);
	at += len;
	if (at >= MESSAGE_PATH)
		return 1;
	p->message->data[at] = 0;
	p->size = at + 1;
	return end;
}

/* Pid of a task's thread group as its pid namespace at `level` numbers it; 0 if it is not visible there. */
static __always_inline __u32 pid_at(struct task_struct *task, __u32 level)
{
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	__u32 nr = 0;
	if (!pid || BPF_CORE_READ(pid, level) < level)
		return 0;
	bpf_probe_read_kernel(&nr, sizeof(nr),
			      (char *)pid + bpf_core_field_offset(struct pid, numbers) +
				      level * bpf_core_type_size(struct upid) +
				      bpf_core_field_offset(struct upid, nr));
	return nr;
}

static __always_inline void fill_subject(struct record *r, struct subject *s)
{
	struct task_struct *task = s->task;
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);

	r->time = bpf_ktime_get_ns();
	r->exec = s->label->exec;
	r->parent_exec = s->label->parent_exec;
	r->slot = s->label->slot;
	r->generation = s->label->generation;
	r->image = s->image;
	r->host_pid = BPF_CORE_READ(task, tgid);
	r->host_ppid = BPF_CORE_READ(parent, tgid);
	r->pid = pid_at(task, level);
	r->ppid = pid_at(parent, level);
	r->uid = BPF_CORE_READ(task, cred, uid.val);
	bpf_get_current_comm(r->comm, sizeof(r->comm));
	struct tty_struct *tty = BPF_CORE_READ(task, signal, tty);
	r->tty[0] = 0;
	if (tty)
		bpf_probe_read_kernel_str(r->tty, sizeof(r->tty),
					  (char *)tty + bpf_core_field_offset(struct tty_struct, name));
}

/* A part of the arguments that lies in one page. */
static __noinline __u32 copy_page(struct message *m, __u32 at, __u64 from, __u32 len)
{
	if (!m || !from || at >= MESSAGE_PATH + 1)
		return 0;
	if (!len || len > MESSAGE_ARGS - 1)
		return 0;
	if (bpf_probe_read_kernel(&m->data[at], len, (void *)from))
		return 0;
	return len;
}

static __noinline __u32 copy_arguments(struct message *m, __u32 at, struct linux_binprm *bprm,
				       __u32 max)
{
	__u64 start = BPF_CORE_READ(bprm, p);
	__u64 end = BPF_CORE_READ(bprm, exec);
	struct mm_struct *mm = BPF_CORE_READ(bprm, mm);
	__u64 size = end - start;

	if (end <= start)
		return 0;
	if (size > max)
		size = max;
	__u64 first = PAGE_SIZE - (start & (PAGE_SIZE - 1));
	if (first > size)
		first = size;
	__u32 done = copy_page(m, at, resident(mm, start), first);
	if (done < size && done == first)
		done += copy_page(m, at + done, resident(mm, start + first), size - first);
	return done;
}

static __noinline void report(struct report *q)
{
	struct subject *s = q->subject;
	struct message *m =
		bpf_task_storage_get(&messages, s->task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!m) {
		__sync_fetch_and_add(&settings.lost_alerts, 1);
		return;
	}
	struct record *r = &m->head;
	r->version = RECORD_VERSION;
	r->kind = q->kind;
	r->operation = q->operation;
	r->flags = q->flags;
	r->rule = q->rule;
	r->result = q->result;
	r->owner = q->owner;
	__builtin_memcpy(r->detail, q->detail, sizeof(r->detail));
	__builtin_memcpy(r->address, q->address, sizeof(r->address));
	r->reserved = 0;
	fill_subject(r, s);
	__u32 size = 0;
	if (q->dentry) {
		struct spell p = {
			.c = { .dentry = q->dentry,
			       .mount = mount_of(q->mnt),
			       .status = WALK_UNRESOLVED },
			.message = m,
		};
		bpf_loop(MAX_DEPTH, spell_one, &p, 0);
		if (p.cut)
			r->flags |= RECORD_PATH_CUT;
		size = p.size;
		if (!size && !(r->flags & RECORD_NO_NAME)) {
			m->data[0] = 0;
			size = 1;
		}
	}
	if (size > MESSAGE_PATH)
		size = MESSAGE_PATH;
	__u32 args = 0;
	if (q->bprm)
		args = copy_arguments(m, size, q->bprm, q->args_max);
	r->path_size = size;
	r->args_size = args;
	__u64 total = sizeof(*r) + size + args;
	if (total > sizeof(*m))
		total = sizeof(*m);
	long failed = q->kind == RECORD_ALERT ? bpf_ringbuf_output(&alerts, m, total, 0) :
						bpf_ringbuf_output(&programs, m, total, 0);
	if (failed) {
		if (q->kind == RECORD_ALERT)
			__sync_fetch_and_add(&settings.lost_alerts, 1);
		else
			__sync_fetch_and_add(&settings.lost_execs, 1);
	}
}

#endif
