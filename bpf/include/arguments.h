/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The arguments of a program that is about to run, read from the pages the kernel has already copied them to (never
 * from the caller's memory, which other threads can change). Nobody has that address space as his own yet, so the
 * pages are found by walking its page tables. Only on x86-64 today; elsewhere arguments read as unknown.
 */
#ifndef KUBEARMOR_ARGUMENTS_H
#define KUBEARMOR_ARGUMENTS_H

#include "walk.h"

#define PAGE_SIZE 4096ul
#define PAGE_PRESENT 1
#define PAGE_HUGE 0x80
#define PAGE_FRAME 0x000ffffffffff000ul
#define ARGUMENT_BYTES (1u << 17)

extern const void page_offset_base __ksym;

static __always_inline __u64 entry_at(__u64 table, __u64 address, int shift)
{
	__u64 entry = EIGHT_AT(table + ((address >> shift) & 511) * 8);
	return entry & PAGE_PRESENT ? entry : 0;
}

/* The kernel's own address of a byte of another address space, 0 if it is not in memory. */
__noinline __u64 resident(__u64 space, __u64 address)
{
	__u64 direct = EIGHT_AT(&page_offset_base);
	__u64 table = number(FIELD(struct mm_struct, space, pgd));
	__u64 entry;

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

/* Reads on, up to the end of a page. */
static __always_inline bool next_chunk(struct argument_reader *r)
{
	if (r->address >= r->end)
		return false;
	if (!r->page || !(r->address & (PAGE_SIZE - 1))) {
		r->page = resident(r->space, r->address);
		if (!r->page)
			return false;
	}
	__u64 size = PAGE_SIZE - (r->address & (PAGE_SIZE - 1));
	if (size > r->end - r->address)
		size = r->end - r->address;
	if (size > ARGUMENT_CHUNK - 1)
		size = ARGUMENT_CHUNK - 1;
	barrier_var(size);
	size &= ARGUMENT_CHUNK - 1;
	if (bpf_probe_read_kernel(r->chunk, size, (void *)r->page))
		return false;
	r->page += size;
	r->address += size;
	r->at = 0;
	r->chunked = size;
	return true;
}

static __always_inline bool next_byte(struct argument_reader *r, __u8 *byte)
{
	if (r->at >= r->chunked && !next_chunk(r))
		return false;
	*byte = r->chunk[r->at & (ARGUMENT_CHUNK - 1)];
	r->at++;
	return true;
}

/* Whoever begins to read has no chunk yet. */
static __always_inline void begin_bytes(struct argument_reader *r)
{
	r->page = 0;
	r->at = 0;
	r->chunked = 0;
}

static __always_inline void begin_arguments(struct argument_reader *r, struct linux_binprm *bprm)
{
	r->space = (__u64)FIELD(struct linux_binprm, bprm, mm);
	r->address = FIELD(struct linux_binprm, bprm, p);
	r->end = FIELD(struct linux_binprm, bprm, exec);
	r->left = FIELD(struct linux_binprm, bprm, argc);
	begin_bytes(r);
}

static long check_byte(__u32 index, struct loop *loop)
{
	struct argument_reader *r = &loop->scratch->arguments;
	__u8 byte = 0;
	if (!r->left)
		return 1;
	if (!next_byte(r, &byte)) {
		r->outside = 1;
		return 1;
	}
	if (byte) {
		r->row = match_step(r->base, r->map, r->row, byte);
		return 0;
	}
	if (r->first) {
		r->first = 0;
	} else {
		__u32 class = match_class(r->base, r->row);
		__u32 bits = word(r->base + r->set + ((class >> 5) & (ARG_SET_WORDS - 1)));
		if (!class || !(bits >> (class & 31) & 1)) {
			r->outside = 1;
			return 1;
		}
	}
	r->row = r->start;
	r->left--;
	return 0;
}

/* Whether every argument after argv[0] is in a set of the image. */
__noinline int arguments_in_set(__u32 base, __u32 set, __u64 program)
{
	struct loop loop;
	loop.scratch = bpf_task_storage_get(&scratches, bpf_get_current_task_btf(), 0,
					    BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!loop.scratch)
		return 0;
	struct argument_reader *r = &loop.scratch->arguments;
	begin_arguments(r, (struct linux_binprm *)program);
	r->base = base;
	r->map = IMAGE_MAP(base);
	r->start = word(base + IMAGE_AT_ARG_START);
	r->row = r->start;
	r->set = word(base + IMAGE_AT_ARG_SETS) + set * ARG_SET_WORDS;
	r->first = 1;
	r->outside = 0;
	bpf_loop(ARGUMENT_BYTES, check_byte, &loop, 0);
	return !r->outside && !r->left;
}

#endif
