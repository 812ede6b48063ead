/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The applet that a multi-call binary will become: the last component of argv[0] (without the dash of a login
 * shell), or, where that is the binary's own name, of the next argument. Read once at every exec, because whether
 * the binary is a multi-call one depends on the rules, and those may come later.
 */
#ifndef KUBEARMOR_APPLET_H
#define KUBEARMOR_APPLET_H

#include "arguments.h"

#define USUAL_NAME 0x786f6279737562ull /* "busybox", the first letter lowest */
#define USUAL_SIZE 7

struct applet_loop {
	struct scratch *scratch;
	char letters[APPLET_SIZE];
};

/*
 * A word by which a multi-call binary is itself: its name, also without what follows a dot or a dash ("busybox" of
 * "busybox.static", "busybox-static" of "busybox"), and whatever begins like the commonest one, as that one does it.
 */
static __always_inline bool is_own_name(const struct argument_reader *r, __u8 expected)
{
	if (r->usual >= USUAL_SIZE)
		return true;
	return !r->differs && (!expected || expected == '.' || expected == '-');
}

static __always_inline void begin_word(struct argument_reader *r)
{
	r->length = 0;
	r->own = 0;
	r->differs = 0;
	r->usual = 0;
}

static long applet_byte(__u32 index, struct applet_loop *loop)
{
	struct argument_reader *r = &loop->scratch->arguments;
	__u8 expected = 1;
	__u8 byte = 0;
	if (!next_byte(r, &byte))
		return 1;
	if (r->own < ARGUMENT_CHUNK)
		expected = r->beginning[r->own & (ARGUMENT_CHUNK - 1)];
	else
		bpf_probe_read_kernel(&expected, 1, (void *)(r->name + r->own));
	__u32 at = r->length;
	/* `coreutils --coreutils-prog=cat` */
	bool option = byte == '=' && at > 2 && loop->letters[0] == '-' && loop->letters[1] == '-';
	if (byte && byte != '/' && !option) {
		if (byte == '-' && !at && r->left == r->argc)
			return 0;
		if (expected == byte)
			r->own++;
		else if (expected)
			r->differs = 1;
		if (r->usual == at && at < USUAL_SIZE && byte == (__u8)(USUAL_NAME >> (at * 8)))
			r->usual = at + 1;
		loop->letters[at & (APPLET_SIZE - 1)] = byte;
		if (at < APPLET_SIZE - 1)
			r->length = at + 1;
		return 0;
	}
	if (!byte) {
		r->left--;
		if (!at || !is_own_name(r, expected) || !r->left)
			return 1;
	}
	begin_word(r);
	return 0;
}

/* Reads the applet out of the arguments at which the reader stands. */
static __always_inline void read_applet(struct scratch *scratch, const struct file *file, char *applet)
{
	struct applet_loop loop = { .scratch = scratch };
	struct argument_reader *r = &scratch->arguments;
	r->argc = r->left;
	struct dentry *dentry = FIELD(struct file, file, f_path.dentry);
	__u32 size = FIELD(struct dentry, dentry, d_name.len) + 1; /* with the NUL behind it */
	r->name = (__u64)FIELD(struct dentry, dentry, d_name.name);
	if (size > ARGUMENT_CHUNK)
		size = ARGUMENT_CHUNK;
	bpf_probe_read_kernel(r->beginning, size, (void *)r->name);
	begin_word(r);
	bpf_loop(2 * ARGUMENT_BYTES, applet_byte, &loop, 0);
	/* Whatever an earlier, longer word left behind must not be stepped. */
	__u32 length = r->length;
	for (__u32 i = 0; i < APPLET_SIZE; i++)
		applet[i] = i < length ? loop.letters[i] : 0;
}

__noinline int find_applet(__u64 program)
{
	struct linux_binprm *bprm = (struct linux_binprm *)program;
	struct task_struct *task = bpf_get_current_task_btf();
	struct label *label = bpf_task_storage_get(&labels, task, 0, 0);
	struct scratch *scratch = bpf_task_storage_get(&scratches, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!label || !scratch)
		return 0;
	begin_arguments(&scratch->arguments, bprm);
	read_applet(scratch, FIELD(struct linux_binprm, bprm, file), label->next_applet);
	return 0;
}

/* The same for a program that runs already, from what it was started with, as far as it has left that as it was. */
static __always_inline void find_own_applet(struct label *label, struct task_struct *task)
{
	struct scratch *scratch = bpf_task_storage_get(&scratches, bpf_get_current_task_btf(), 0,
						       BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	if (!scratch || !mm)
		return;
	struct argument_reader *r = &scratch->arguments;
	r->space = (__u64)mm;
	r->address = BPF_CORE_READ(mm, arg_start);
	r->end = BPF_CORE_READ(mm, arg_end);
	r->left = ARGUMENT_BYTES;
	begin_bytes(r);
	read_applet(scratch, BPF_CORE_READ(mm, exe_file), label->applet);
}

#endif
