// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Programs: which one may run, and by which image a task is judged from then on. */
#include "applet.h"
#include "descriptors.h"
#include "entry.h"
#include "judge.h"
#include "mount_chain.h"
#include "report.h"

#define EXEC_ARGS 512 /* of a program that runs; a denied one is told in full */

/* The beginning of a program's file, as the kernel has read it. */
static __always_inline __u8 *beginning(const struct linux_binprm *bprm)
{
	struct scratch *s = bpf_task_storage_get(&scratches, bpf_get_current_task_btf(), 0,
						 BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!s || bpf_probe_read_kernel(s->beginning, BINPRM_BUF_SIZE, bprm->buf))
		return NULL;
	return s->beginning;
}

/*
 * Whether a program names its loader, which a kernel looks for behind the file's beginning. One that does not is either
 * whole or a loader itself.
 */
static __always_inline bool has_loader(const __u8 *file)
{
	bool wide = file[ELF_AT_WIDTH] == ELF_64;
	__u64 at = wide ? *(__u64 *)(file + ELF64_AT_SEGMENTS) : *(__u32 *)(file + ELF32_AT_SEGMENTS);
	for (int i = 0; i < ELF_SEGMENTS; i++) {
		if (at > BINPRM_BUF_SIZE - sizeof(__u32))
			return false;
		barrier_var(at);
		if (*(__u32 *)(file + (at & (BINPRM_BUF_SIZE - 1))) == PT_INTERP)
			return true;
		at += wide ? ELF64_SEGMENT : ELF32_SEGMENT;
	}
	return false;
}

/* It becomes its interpreter, which is asked about next. */
static __always_inline bool is_script(const __u8 *file)
{
	return file[0] == '#' && file[1] == '!';
}

/* A program that is about to run, and the names by which it is not called. */
struct program {
	struct plan_query q;
	struct target t;
	struct mounts mounts;
	__u64 namespace;
	__u64 used;
	__u32 source;
};

/* Whether a rule denies to run what has this row. */
static __always_inline bool forbids_program(struct program *p, __u32 row)
{
	p->q.found = 0;
	p->q.outcome = 0;
	p->q.plan = match_plan(p->q.base, IMAGE_AT_EXEC, match_class(p->q.base, row), p->source);
	judge(&p->q);
	return denied_by_rule(&p->q);
}

static long exec_through(__u32 index, struct program *p)
{
	__u64 mount = next_mount(&p->mounts);
	if (!mount)
		return 1;
	__u64 mnt = vfsmount_of(mount);
	if (mnt == p->used || number(FIELD(struct mount, mount, mnt_ns)) != p->namespace)
		return 0;
	p->t.mnt = mnt;
	if (executable(&p->t, 1) != WALK_OK || !p->t.row)
		return 0;
	return forbids_program(p, p->t.row);
}

/* Whether a rule means it by another name; tells which in `q`. `namespace`: where it may have such; 0: nowhere. */
static __always_inline bool forbidden_elsewhere(struct plan_query *q, const struct target *t,
						const struct alias *alias, __u64 namespace, __u32 source)
{
	struct program p = { .q = *q, .t = *t, .namespace = namespace, .used = t->mnt, .source = source };
	if (alias)
		for (int i = 0; i < ALIAS_ROWS; i++)
			if (alias->rows[i] && forbids_program(&p, alias->rows[i])) {
				*q = p.q;
				return true;
			}
	if (!namespace)
		return false;
	begin_mounts(&p.mounts, number(FIELD(struct dentry, t->dentry, d_sb)));
	bpf_loop(MOUNTS_MAX, exec_through, &p, 0);
	*q = p.q;
	return denied_by_rule(q);
}

/* Notes what the task is about to become, and judges whether it may. */
__noinline int guard_exec(__u64 program, __u32 base, __u32 image, __u64 namespace)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct label *label = bpf_task_storage_get(&labels, task, 0, 0);
	struct file *file = FIELD(struct linux_binprm, program, file);
	struct target t = {
		.base = base,
		.dentry = (__u64)FIELD(struct file, file, f_path.dentry),
		.mnt = (__u64)FIELD(struct file, file, f_path.mnt),
	};
	if (!label)
		return 0;
	executable(&t, 1);
	label->next_source = source_of_row(base, t.row);
	label->next_image = image;
	if (!word(base + IMAGE_AT_EXEC))
		return 0;

	struct inode *inode = FIELD(struct file, file, f_inode);
	struct plan_query q = { .base = base, .context = program };
	__u32 rule;
	if (t.status == WALK_UNRESOLVED) {
		if (settings.pass_unresolved)
			return 0;
		q.outcome = STEP_DENY;
		q.rule = RULE_UNRESOLVED;
	} else {
		q.plan = match_plan(base, IMAGE_AT_EXEC, t.row ? match_class(base, t.row) : 0,
				    current_source(label, base, image));
		q.facts = facts(task, inode);
		judge(&q);
		const struct alias *alias = alias_of(base, image, inode);
		struct plan_query other = q;
		if (!denies(&q) && (alias || namespace) &&
		    forbidden_elsewhere(&other, &t, alias, namespace, label->source))
			q = other;
	}
	if (!alerts_of(&q, &rule))
		return 0;
	int denied = denies(&q) ? -EACCES : 0;
	struct report *r = new_report(RECORD_ALERT, OP_EXEC, image);
	if (!r)
		return denied;
	r->dentry = t.dentry;
	r->mnt = t.mnt;
	r->bprm = program;
	r->args_max = MESSAGE_ARGS - 1;
	r->rule = rule;
	r->result = denied;
	r->owner = FIELD(struct inode, inode, i_uid.val);
	r->detail[0] = FIELD(struct linux_binprm, program, argc);
	if (t.status == WALK_UNRESOLVED)
		r->flags = RECORD_UNRESOLVED;
	report();
	return denied;
}

SEC("lsm/bprm_check_security")
int BPF_PROG(on_exec, struct linux_binprm *bprm, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (!entered(&s))
		return 0;
	__u64 program = number(bprm);
	__u8 *file = beginning(bprm);
	find_applet(program);
	s.label->next_image = 0;
	s.label->marks &= ~LABEL_NEXT_LOADER;
	if (!file || !has_loader(file))
		s.label->marks |= LABEL_NEXT_LOADER;
	if (!governed(&s))
		return 0;
	if (guard_exec(program, s.base, s.image, s.mounts))
		return -EACCES;
	if (!(word(s.base + IMAGE_AT_FLAGS) & IMAGE_HAS_FILE_SOURCES) || (file && is_script(file)))
		return 0;
	return guard_descriptors(s.base, s.image, HANDED_NEXT) ? -EACCES : 0;
}

static __always_inline void tell_start(struct linux_binprm *bprm, struct label *label)
{
	struct file *file = bprm->file;
	struct report *r = new_report(RECORD_EXEC, OP_EXEC, 0);
	if (!r)
		return;
	r->dentry = (__u64)file->f_path.dentry;
	r->mnt = (__u64)file->f_path.mnt;
	r->bprm = number(bprm);
	r->args_max = EXEC_ARGS;
	r->detail[0] = bprm->argc;
	if (label->alerted_operation != OP_EXEC && visible(label, VISIBLE_PROCESS))
		r->flags |= RECORD_VISIBLE;
	label->alerted_operation = 0;
	report();
}

/* Past the point of no return: the task is the new program. */
SEC("lsm/bprm_committed_creds")
int BPF_PROG(on_become, struct linux_binprm *bprm)
{
	struct subject s = {};
	s.task = bpf_get_current_task_btf();
	s.label = bpf_task_storage_get(&labels, s.task, 0, 0);
	if (!s.label)
		return 0;
	struct label *label = s.label;
	label->caller = label->source;
	label->caller_image = label->image;
	label->image = label->next_image;
	label->source = label->next_source;
	label->marks &= ~LABEL_LOADER;
	if (label->marks & LABEL_NEXT_LOADER)
		label->marks |= LABEL_LOADER;
	__builtin_memcpy(label->applet, label->next_applet, APPLET_SIZE);
	label->parent_exec = label->exec;
	label->exec = __sync_fetch_and_add(&settings.next_exec, 1) + 1;
	if (!label->slot)
		return 0;
	tell_start(bprm, label);
	/* Until here others could change the table of descriptors. Nobody returns to the caller any more. */
	if (governed(&s) && word(s.base + IMAGE_AT_FLAGS) & IMAGE_HAS_FILE_SOURCES &&
	    guard_descriptors(s.base, s.image, HANDED_NOW))
		bpf_send_signal(SIGKILL);
	return 0;
}
