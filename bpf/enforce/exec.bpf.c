// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Programs: which one may run, and by which image a task is judged from then on. */
#include "applet.h"
#include "judge.h"
#include "report.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define EXEC_ARGS 512 /* of a program that runs; a denied one is told in full */

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
}

static __always_inline bool belongs(const struct label *label)
{
	return label && label->slot != settings.host_slot &&
	       slots[label->slot & SLOT_MASK].generation == label->generation;
}

/* Notes what the task is about to become, and judges whether it may. */
__noinline int guard_exec(__u64 program, __u32 base, __u32 image)
{
	struct linux_binprm *bprm = (struct linux_binprm *)program;
	struct task_struct *task = bpf_get_current_task_btf();
	struct label *label = bpf_task_storage_get(&labels, task, 0, 0);
	struct file *file = BPF_CORE_READ(bprm, file);
	struct target t = {
		.base = base,
		.dentry = (__u64)BPF_CORE_READ(file, f_path.dentry),
		.mnt = (__u64)BPF_CORE_READ(file, f_path.mnt),
	};
	if (!label)
		return 0;
	executable(&t, 1);
	label->next_source = source_of_row(base, t.row);
	label->next_image = image;
	if (!word(base + IMAGE_AT_EXEC))
		return 0;

	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct plan_query q = { .base = base, .context = program };
	__u32 rule;
	if (t.status == WALK_UNRESOLVED) {
		q.outcome = STEP_DENY;
		q.rule = RULE_UNRESOLVED;
	} else {
		q.plan = match_plan(base, IMAGE_AT_EXEC, t.row ? match_class(base, t.row) : 0,
				    current_source(label, base, image));
		q.facts = facts(task, inode);
		judge(&q);
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
	r->owner = BPF_CORE_READ(inode, i_uid.val);
	r->detail[0] = BPF_CORE_READ(bprm, argc);
	if (t.status == WALK_UNRESOLVED)
		r->flags = RECORD_UNRESOLVED;
	else if (!t.row)
		r->flags = RECORD_NO_NAME;
	report();
	return denied;
}

SEC("lsm/bprm_check_security")
int BPF_PROG(on_exec, struct linux_binprm *bprm, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	s.task = bpf_get_current_task_btf();
	s.label = bpf_task_storage_get(&labels, s.task, 0, 0);
	if (!belongs(s.label)) {
		enter(s.task);
		s.label = bpf_task_storage_get(&labels, s.task, 0, 0);
		if (!s.label)
			return 0;
	}
	__u64 program = number(bprm);
	find_applet(program);
	s.label->next_image = 0;
	return governed(&s) && guard_exec(program, s.base, s.image) ? -EACCES : 0;
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
	label->image = label->next_image;
	label->source = label->next_source;
	__builtin_memcpy(label->applet, label->next_applet, APPLET_SIZE);
	label->parent_exec = label->exec;
	label->exec = __sync_fetch_and_add(&settings.next_exec, 1) + 1;

	struct file *file = bprm->file;
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct report *r = new_report(RECORD_EXEC, OP_EXEC, 0);
	if (!r)
		return 0;
	r->dentry = (__u64)dentry;
	r->mnt = (__u64)BPF_CORE_READ(file, f_path.mnt);
	r->bprm = number(bprm);
	r->args_max = EXEC_ARGS;
	r->detail[0] = BPF_CORE_READ(bprm, argc);
	if (probed_unlinked(dentry))
		r->flags = RECORD_NO_NAME;
	report();
	return 0;
}
