/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which system call a task is in, by the number of its name: the same on every architecture, and for 32-bit calls. */
#ifndef KUBEARMOR_CALL_H
#define KUBEARMOR_CALL_H

#include "state.h"

#define CALL_NUMBERS 576
#define NO_CALL 0xffffffffu

/* 32-bit x86: one number for many calls, told apart by the first argument. */
#define IA32_SOCKETCALL 102
#define IA32_IPC 117
#define CALLS_OF_SOCKETCALL 512
#define CALLS_OF_IPC 544

/* Written by user space: number of a call by the machine's numbers, and by those of 32 bits; 1 more than its name's. */
struct calls {
	__u16 native[CALL_NUMBERS];
	__u16 compat[CALL_NUMBERS];
};

struct calls calls SEC(".bss.calls");

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct thread_info___call {
	__u32 status;
	unsigned long flags;
};

struct task_struct___call {
	struct thread_info___call thread_info;
};

/* The registers at the entry of a call. */
struct pt_regs___number {
	unsigned long orig_ax;
	unsigned long bx;
	int syscallno; /* arm64 */
};

#pragma clang attribute pop

static __always_inline __u32 name_of_number(const __u16 *names, __u32 number)
{
	if (number >= CALL_NUMBERS)
		return NO_CALL;
	return (__u32)names[number] - 1;
}

#if defined(__TARGET_ARCH_x86)

#define TS_COMPAT_CALL 2
#define X32_CALL 0x40000000

static __always_inline __u32 call_by_number(struct task_struct *task, struct pt_regs *registers, __u32 number)
{
	struct task_struct___call *t = (struct task_struct___call *)task;
	struct pt_regs___number *r = (struct pt_regs___number *)registers;
	if (!(BPF_CORE_READ(t, thread_info.status) & TS_COMPAT_CALL))
		return name_of_number(calls.native, number & ~X32_CALL);
	if (number == IA32_SOCKETCALL)
		number = CALLS_OF_SOCKETCALL + (BPF_CORE_READ(r, bx) & 31);
	else if (number == IA32_IPC)
		number = CALLS_OF_IPC + (BPF_CORE_READ(r, bx) & 31);
	return name_of_number(calls.compat, number);
}

static __always_inline __u32 current_number(struct pt_regs *registers)
{
	return BPF_CORE_READ((struct pt_regs___number *)registers, orig_ax);
}

#elif defined(__TARGET_ARCH_arm64)

#define TIF_32BIT_CALL (1ul << 22)

static __always_inline __u32 call_by_number(struct task_struct *task, struct pt_regs *registers, __u32 number)
{
	struct task_struct___call *t = (struct task_struct___call *)task;
	if (BPF_CORE_READ(t, thread_info.flags) & TIF_32BIT_CALL)
		return name_of_number(calls.compat, number);
	return name_of_number(calls.native, number);
}

static __always_inline __u32 current_number(struct pt_regs *registers)
{
	return BPF_CORE_READ((struct pt_regs___number *)registers, syscallno);
}

#endif

/* NO_CALL where none of a program's is being made, or one that has no name. */
static __always_inline __u32 current_call(struct task_struct *task)
{
	if (BPF_CORE_READ(task, flags) & (PF_KTHREAD | PF_IO_WORKER))
		return NO_CALL;
	struct pt_regs *registers = (struct pt_regs *)bpf_task_pt_regs(task);
	return registers ? call_by_number(task, registers, current_number(registers)) : NO_CALL;
}

#endif
