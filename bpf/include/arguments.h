/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The arguments of a program that is about to run, read from the pages the kernel has already copied them to (never
 * from the caller's memory, which other threads can change). Nobody has that address space as his own yet, so the
 * pages are found by walking its page tables. Only on x86-64 today; elsewhere arguments read as unknown.
 */
#ifndef KUBEARMOR_ARGUMENTS_H
#define KUBEARMOR_ARGUMENTS_H

#include "state.h"

#define PAGE_SIZE 4096ul
#define PAGE_PRESENT 1
#define PAGE_HUGE 0x80
#define PAGE_FRAME 0x000ffffffffff000ul
#define ARGUMENT_BYTES (1u << 17)

extern const void page_offset_base __ksym;

static __always_inline __u64 entry_at(__u64 table, __u64 address, int shift)
{
	__u64 entry = 0;
	if (bpf_probe_read_kernel(&entry, 8, (void *)(table + ((address >> shift) & 511) * 8)))
		return 0;
	return entry & PAGE_PRESENT ? entry : 0;
}

/* The kernel's own address of a byte of another address space, 0 if it is not in memory. */
static __noinline __u64 resident(struct mm_struct *mm, __u64 address)
{
	__u64 direct = 0;
	__u64 table = (__u64)BPF_CORE_READ(mm, pgd);
	__u64 entry;

	bpf_probe_read_kernel(&direct, 8, &page_offset_base);
	if (!direct || !table)
		return 0;
	if (settings.five_levels) {
		entry = entry_at(table, address, 48);
		if (!entry)
			return 0;
		table = direct + (entry & PAGE_FRAME);
	}
	entry = entry_at(table, address, 39);
	if (!entry)
		return 0;
	entry = entry_at(direct + (entry & PAGE_FRAME), address, 30);
	if (!entry || entry & PAGE_HUGE)
		return 0;
	entry = entry_at(direct + (entry & PAGE_FRAME), address, 21);
	if (!entry || entry & PAGE_HUGE)
		return 0;
	entry = entry_at(direct + (entry & PAGE_FRAME), address, 12);
	if (!entry)
		return 0;
	return direct + (entry & PAGE_FRAME) + (address & (PAGE_SIZE - 1));
}

struct argument_reader {
	struct mm_struct *mm;
	__u64 address;
	__u64 end;
	__u64 page;       /* kernel address of the byte at `address`, 0: ask again */
	__u32 left;       /* arguments not yet ended */
};

static __always_inline bool next_byte(struct argument_reader *r, __u8 *byte)
{
	if (r->address >= r->end)
		return false;
	if (!r->page || !(r->address & (PAGE_SIZE - 1))) {
		r->page = resident(r->mm, r->address);
		if (!r->page)
			return false;
	}
	if (bpf_probe_read_kernel(byte, 1, (void *)r->page))
		return false;
	r->page++;
	r->address++;
	return true;
}

static __always_inline void begin_arguments(struct argument_reader *r, struct linux_binprm *bprm)
{
	r->mm = BPF_CORE_READ(bprm, mm);
	r->address = BPF_CORE_READ(bprm, p);
	r->end = BPF_CORE_READ(bprm, exec);
	r->page = 0;
	r->left = BPF_CORE_READ(bprm, argc);
}

/* Whether every argument after argv[0] is in a set of the image. */
struct argument_check {
	struct argument_reader r;
	__u32 base;
	__u32 map;
	__u32 start;
	__u32 row;
	__u32 set;
	__u32 first;
	__u32 outside;
};

static long check_byte(__u32 index, struct argument_check *c)
{
	__u8 byte = 0;
	if (!c->r.left)
		return 1;
	if (!next_byte(&c->r, &byte)) {
		c->outside = 1;
		return 1;
	}
	if (byte) {
		__u8 class = ((__u8 *)arena)[(c->map + byte) & (ARENA_WORDS * 4 - 1)];
		c->row = word(c->base + c->row + class);
		return 0;
	}
	if (c->first) {
		c->first = 0;
	} else {
		__u32 class = word(c->base + c->row) & ROW_CLASS_MASK;
		__u32 bits = word(c->base + c->set + ((class >> 5) & (ARG_SET_WORDS - 1)));
		if (!class || !(bits >> (class & 31) & 1)) {
			c->outside = 1;
			return 1;
		}
	}
	c->row = c->start;
	c->r.left--;
	return 0;
}

static __noinline bool arguments_in_set(__u32 base, __u32 set, struct linux_binprm *bprm)
{
	struct argument_check c = { .base = base, .first = 1 };
	begin_arguments(&c.r, bprm);
	c.map = (base + word(base + IMAGE_AT_BYTECLASS)) << 2;
	c.start = word(base + IMAGE_AT_ARG_START);
	c.row = c.start;
	c.set = word(base + IMAGE_AT_ARG_SETS) + set * ARG_SET_WORDS;
	bpf_loop(ARGUMENT_BYTES, check_byte, &c, 0);
	return !c.outside && !c.r.left;
}

#endif
