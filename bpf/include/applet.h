/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The applet that a multi-call binary will become: the last component of argv[0] (without the dash of a login
 * shell), or, where that is the binary's own name, of the next argument. Read once at every exec, because whether
 * the binary is a multi-call one depends on the rules, and those may come later.
 */
#ifndef KUBEARMOR_APPLET_H
#define KUBEARMOR_APPLET_H

#include "arguments.h"

struct applet_loop {
	struct scratch *scratch;
	struct label *label;
};

static long applet_byte(__u32 index, struct applet_loop *loop)
{
	struct argument_reader *r = &loop->scratch->arguments;
	__u8 expected = 1;
	__u8 byte = 0;
	if (!next_byte(r, &byte))
		return 1;
	bpf_probe_read_kernel(&expected, 1, (void *)(r->name + r->own));
	if (byte && byte != '/') {
		if (byte == '-' && !r->length && r->left == r->argc)
			return 0;
		if (expected == byte)
			r->own++;
		else if (expected)
			r->differs = 1;
		__u32 at = r->length;
		loop->label->next_applet[at & (APPLET_SIZE - 1)] = byte;
		if (at < APPLET_SIZE - 1)
			r->length = at + 1;
		return 0;
	}
	if (!byte) {
		r->left--;
		/* "busybox", "busybox-static" and the like: the applet is the next argument. */
		if (!r->length || r->differs || expected || !r->left)
			return 1;
	}
	r->length = 0;
	r->own = 0;
	r->differs = 0;
	return 0;
}

__noinline int find_applet(__u64 program)
{
	struct linux_binprm *bprm = (struct linux_binprm *)program;
	struct task_struct *task = bpf_get_current_task_btf();
	struct applet_loop loop;
	loop.label = bpf_task_storage_get(&labels, task, 0, 0);
	loop.scratch = bpf_task_storage_get(&scratches, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!loop.label || !loop.scratch)
		return 0;
	struct argument_reader *r = &loop.scratch->arguments;
	begin_arguments(r, bprm);
	r->argc = r->left;
	r->name = (__u64)BPF_CORE_READ(bprm, file, f_path.dentry, d_name.name);
	r->length = 0;
	r->own = 0;
	r->differs = 0;
	bpf_loop(4096, applet_byte, &loop, 0);
	/* Whatever an earlier, longer word left behind must not be stepped. */
	__u32 length = r->length;
	for (__u32 i = 0; i < APPLET_SIZE; i++)
		loop.label->next_applet[i] = i < length ? loop.label->next_applet[i] : 0;
	return 0;
}

#endif
