/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The applet that a multi-call binary will become: the last component of argv[0] (without the dash of a login
 * shell), or, where that is the binary's own name, of the next argument. Read once at every exec, because whether
 * the binary is a multi-call one depends on the rules, and those may come later.
 */
#ifndef KUBEARMOR_APPLET_H
#define KUBEARMOR_APPLET_H

#include "arguments.h"

struct applet_scan {
	struct argument_reader r;
	const unsigned char *name; /* the binary's own */
	char *applet;
	__u32 length;
	__u32 own;    /* so far the argument equals the binary's name up to `own` bytes */
	__u32 differs;
	__u32 dashes;
};

static long applet_byte(__u32 index, struct applet_scan *a)
{
	__u8 byte = 0;
	if (!next_byte(&a->r, &byte))
		return 1;
	if (byte == '/') {
		a->length = 0;
		a->own = 0;
		a->differs = 0;
		return 0;
	}
	if (!byte) {
		a->r.left--;
		/* "busybox", "busybox-static" and the like: the applet is the next argument. */
		__u8 expected = 1;
		bpf_probe_read_kernel(&expected, 1, a->name + a->own);
		if (!a->length || a->differs || expected || !a->r.left)
			return 1;
		a->length = 0;
		a->own = 0;
		a->differs = 0;
		return 0;
	}
	if (byte == '-' && !a->length && a->r.left == a->dashes)
		return 0;
	__u8 expected = 0;
	bpf_probe_read_kernel(&expected, 1, a->name + a->own);
	if (expected == byte)
		a->own++;
	else if (expected)
		a->differs = 1;
	a->applet[a->length & (APPLET_SIZE - 1)] = byte;
	if (a->length < APPLET_SIZE - 1)
		a->length++;
	return 0;
}

static __noinline void find_applet(struct label *label, struct linux_binprm *bprm,
				   struct dentry *dentry)
{
	struct applet_scan a = {};
	begin_arguments(&a.r, bprm);
	a.dashes = a.r.left;
	a.name = BPF_CORE_READ(dentry, d_name.name);
	a.applet = label->next_applet;
	bpf_loop(4096, applet_byte, &a, 0);
	/* Whatever an earlier, longer word left behind must not be stepped. */
	for (__u32 i = 0; i < APPLET_SIZE; i++)
		if (i >= a.length)
			label->next_applet[i] = 0;
}

#endif
