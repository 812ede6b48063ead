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
	struct file *file = bprm->file;
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	find_applet(s.label, bprm, dentry);
	s.label->next_image = 0;
	if (!governed(&s))
		return 0;

	struct walk w = {
		.base = s.base,
		.dentry = dentry,
		.mnt = BPF_CORE_READ(file, f_path.mnt),
	};
	__u32 row = executable_row(&w, s.task, s.label->next_applet);
	s.label->next_source = source_of_row(s.base, row);
	s.label->next_image = s.image;
	if (!word(s.base + IMAGE_AT_EXEC))
		return 0;

	struct verdict v = { .base = s.base, .bprm = bprm };
	bool unresolved = w.status == WALK_UNRESOLVED;
	if (unresolved) {
		v.outcome = STEP_DENY;
		v.rule = RULE_UNRESOLVED;
	} else {
		v.plan = plan_of(s.base, IMAGE_AT_EXEC, row ? path_class(s.base, row) : 0,
				 source_class(&s));
		v.owner = owns(s.task, BPF_CORE_READ(file, f_inode));
		v.terminal = has_terminal(s.task);
		judge(&v);
	}
	if (!v.outcome || !(v.outcome & (STEP_DENY | STEP_ALERT)))
		return 0;
	int denied = v.outcome & STEP_DENY ? -EACCES : 0;
	struct report r = {
		.subject = &s,
		.dentry = dentry,
		.mnt = w.mnt,
		.bprm = bprm,
		.args_max = MESSAGE_ARGS - 1,
		.kind = RECORD_ALERT,
		.operation = OP_EXEC,
		.rule = v.rule,
		.result = denied,
		.owner = BPF_CORE_READ(file, f_inode, i_uid.val),
		.flags = unresolved ? RECORD_UNRESOLVED : row ? 0 : RECORD_NO_NAME,
	};
	r.detail[0] = BPF_CORE_READ(bprm, argc);
	report(&r);
	return denied;
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
	struct report r = {
		.subject = &s,
		.dentry = dentry,
		.mnt = BPF_CORE_READ(file, f_path.mnt),
		.bprm = bprm,
		.args_max = EXEC_ARGS,
		.kind = RECORD_EXEC,
		.operation = OP_EXEC,
		.flags = unlinked(dentry) ? RECORD_NO_NAME : 0,
	};
	r.detail[0] = BPF_CORE_READ(bprm, argc);
	report(&r);
	return 0;
}
