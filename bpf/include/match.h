/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading an image: the matcher of the BPF programs, which host tests build too. It has no loop over bytes, names
 * or steps: the includer drives these building blocks, in BPF with bpf_loop.
 *
 * The includer defines, before including:
 *   IMAGE_BASE              the type by which it holds an image's base
 *   IMAGE_WORD(base, index) one word of the image, any bounds check or mask included
 *   IMAGE_MAP(base)         where the byte class map is, as a number of the includer's choice
 *   IMAGE_CLASS(base, map, byte) the byte class of a byte
 *   IMAGE_EIGHT(base, index) two words of the image, the first one lowest; the index is even
 *   MATCH_TEXT              the type by which it holds a piece of a name
 *   MATCH_LETTERS(text, at, len) eight bytes of such a piece of `len` bytes, NUL behind its end
 *   PLAN_CONTEXT            the type of what PLAN_ARGUMENTS_IN needs
 *   PLAN_ARGUMENTS_IN(query, set)  whether every argument after argv[0] is in the set; asked where a step wants it
 */
#ifndef KUBEARMOR_MATCH_H
#define KUBEARMOR_MATCH_H

#include "image.h"

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* The row behind a slash. */
static __always_inline __u32 match_slash(IMAGE_BASE base, __u32 row)
{
	return IMAGE_WORD(base, row + ROW_SLASH);
}

static __always_inline __u64 match_mix(__u64 hash, __u64 eight)
{
	__u64 product = (hash ^ eight) * NAME_MULTIPLIER;

	return product ^ product >> 32;
}

/* The one row of a table that may be behind what has this hash; 0: none is. */
static __always_inline __u32 match_candidate(IMAGE_BASE base, __u32 row, __u64 hash)
{
	__u32 shape = IMAGE_WORD(base, row + ROW_SHAPE);
	__u32 seeds = row + ROW_SEEDS;
	__u64 seed = IMAGE_WORD(base, seeds + ((__u32)(hash >> 48) & shape));

	return IMAGE_WORD(base, seeds + (shape & 0xffff) + 1 + ((__u32)(hash * seed >> 32) & shape >> 16));
}

/*
 * The row behind a piece of a name, at least one byte, in a row that is a table; with ROW_INSIDE the row from which to
 * step the piece.
 */
static __always_inline __u32 match_piece(IMAGE_BASE base, __u32 row, MATCH_TEXT text, __u32 len)
{
	__u32 found, other;
	__u64 hash;

	if (row & ROW_SINK)
		return row;
	hash = match_mix(0, MATCH_LETTERS(text, 0, len));
	if (len > 8) {
		hash = match_mix(hash, MATCH_LETTERS(text, 8, len));
		if (len > 16) {
			hash = match_mix(hash, MATCH_LETTERS(text, 16, len));
			if (len > 24)
				hash = match_mix(hash, MATCH_LETTERS(text, 24, len));
		}
	}
	found = match_candidate(base, row, hash);
	other = IMAGE_WORD(base, row + ROW_DEFAULT);
	if (!found || IMAGE_WORD(base, found + ROW_LENGTH) != len ||
	    IMAGE_EIGHT(base, found - 2) != MATCH_LETTERS(text, 0, len))
		return other;
	if (len <= 8)
		return found;
	if (IMAGE_EIGHT(base, found - 4) != MATCH_LETTERS(text, 8, len))
		return other;
	if (len <= 16)
		return found;
	if (IMAGE_EIGHT(base, found - 6) != MATCH_LETTERS(text, 16, len))
		return other;
	if (len <= 24)
		return found;
	return IMAGE_EIGHT(base, found - 8) == MATCH_LETTERS(text, 24, len) ? found : other;
}

/* The row behind one byte, in a row that is no table. `map` is IMAGE_MAP(base). */
static __always_inline __u32 match_step(IMAGE_BASE base, __u32 map, __u32 row, __u8 byte)
{
	return IMAGE_WORD(base, row + IMAGE_CLASS(base, map, byte));
}

/* The row behind eight bytes, the first one lowest. NUL bytes change nothing, so the last word of a name is padded. */
#define MATCH_EIGHT(base, map, row, eight)            \
	do {                                          \
		__u64 bytes_left = (eight);           \
		MATCH_NEXT(base, map, row); /* 1 */   \
		MATCH_NEXT(base, map, row); /* 2 */   \
		if (!bytes_left)                      \
			break;                        \
		MATCH_NEXT(base, map, row); /* 3 */   \
		MATCH_NEXT(base, map, row); /* 4 */   \
		if (!bytes_left)                      \
			break;                        \
		MATCH_NEXT(base, map, row); /* 5 */   \
		MATCH_NEXT(base, map, row); /* 6 */   \
		if (!bytes_left)                      \
			break;                        \
		MATCH_NEXT(base, map, row); /* 7 */   \
		MATCH_NEXT(base, map, row); /* 8 */   \
		(void)bytes_left;                     \
	} while (0)

/* Without the barrier the compiler prepares all eight bytes first and runs out of registers, then of stack. */
#define MATCH_NEXT(base, map, row)                                 \
	row = match_step(base, map, row, (__u8)bytes_left);        \
	__asm__ volatile("" : "+r"(row));                          \
	bytes_left >>= 8

static __always_inline __u32 match_class(IMAGE_BASE base, __u32 row)
{
	return IMAGE_WORD(base, row) & ROW_CLASS_MASK;
}

/*
 * The rule that forbids to give what is at row `from` the name at row `to`, RULE_NONE if none does. A name must not
 * take an object, or what is below a directory, out of what denies something there. A directory also brings what is
 * below it under its new name, where creating that may be denied.
 */
static __always_inline __u32 match_move(IMAGE_BASE base, __u32 from, __u32 to, int directory)
{
	__u32 table = IMAGE_WORD(base, IMAGE_AT_SIGNATURES);
	__u32 old, new, rule;

	if (!table)
		return RULE_NONE;
	old = table + 2 * match_class(base, from);
	new = table + 2 * match_class(base, to);
	rule = IMAGE_WORD(base, old + 1);
	if (rule != RULE_NONE && IMAGE_WORD(base, old) != IMAGE_WORD(base, new))
		return rule;
	if (!directory && !(IMAGE_WORD(base, from) & ROW_MULTICALL))
		return RULE_NONE;
	old = IMAGE_WORD(base, match_slash(base, from) + ROW_FUTURE);
	new = IMAGE_WORD(base, match_slash(base, to) + ROW_FUTURE);
	if (old == new)
		return RULE_NONE;
	table = IMAGE_WORD(base, IMAGE_AT_FUTURES);
	rule = IMAGE_WORD(base, table + 2 * old);
	return rule != RULE_NONE || !directory ? rule : IMAGE_WORD(base, table + 2 * new + 1);
}

/* `path_class` is that of the acting executable; a subject without a name has source class 0. */
static __always_inline __u32 match_source(IMAGE_BASE base, __u32 path_class)
{
	return IMAGE_WORD(base, IMAGE_WORD(base, IMAGE_AT_SOURCES) + path_class);
}

/*
 * The plan for an object in one of the tables: `table` is IMAGE_AT_EXEC, _READ, _CHANGE, _SOCKET, _CAPABILITY,
 * _PRESET, _DNS or _SYSCALL, `object` the path class, socket class, preset or number. 0 is the empty plan.
 */
static __always_inline __u32 match_plan(IMAGE_BASE base, __u32 table, __u32 object, __u32 source)
{
	__u32 lines = IMAGE_WORD(base, table);

	if (!lines)
		return 0;
	return IMAGE_WORD(base, IMAGE_WORD(base, lines + object) + source);
}

/* The class of a socket by the kernel's numbers, -1 if rules never judge it. */
static __always_inline int match_socket(__u32 family, __u32 type, __u32 protocol)
{
	__u32 kind = type >= 1 && type <= 6 ? type : type == 10 ? 7 : 0;

	/* A packet socket's protocol is an Ethernet type. */
	if (family == 17)
		return SOCKET_CLASS(SOCKET_FAMILY_PACKET, kind, 0);
	/* Elsewhere a raw socket is raw, and no matter of any other rule; AF_UNIX and AF_NETLINK have none of that kind. */
	if (family != 2 && family != 10) {
		if (type != 3 || family == 1 || family == 16)
			return -1;
		return SOCKET_CLASS(SOCKET_FAMILY_OTHER, kind, 0);
	}
	switch (protocol) {
	case 0:
		protocol = type == 1 ? 1 : type == 2 ? 2 : type == 5 ? 5 : 0;
		break;
	case 6:
	case 262:
		protocol = 1;
		break;
	case 17:
	case 136:
		protocol = 2;
		break;
	case 1:
		protocol = 3;
		break;
	case 58:
		protocol = 4;
		break;
	case 132:
		protocol = 5;
		break;
	default:
		protocol = 0;
	}
	return SOCKET_CLASS(SOCKET_FAMILY_INET, kind, protocol);
}

/* The plan for a system call by the number of its name; with a path, for the call on a path of that class. */
static __always_inline __u32 match_syscall(IMAGE_BASE base, __u32 number, __u32 source)
{
	return match_plan(base, IMAGE_AT_SYSCALL, number & (SYSCALLS - 1), source);
}

static __always_inline __u32 match_syscall_path(IMAGE_BASE base, __u32 number, __u32 path_class,
						__u32 source)
{
	__u32 calls = IMAGE_WORD(base, IMAGE_AT_SYSCALL_PATH);
	__u32 lines;

	if (!calls)
		return 0;
	lines = IMAGE_WORD(base, calls + (number & (SYSCALLS - 1))) & ~SYSCALL_OPENS;
	if (!lines)
		return 0;
	return IMAGE_WORD(base, IMAGE_WORD(base, lines + path_class) + source);
}

#define PLAN_DECIDED 1
#define PLAN_AUDITED 2

struct plan_query {
	IMAGE_BASE base;
	__u32 plan;
	/* Those of STEP_IF_OWNER, STEP_IF_NOT_OWNER and STEP_IF_TERMINAL that hold. */
	__u32 facts;
	PLAN_CONTEXT context;

	/* Answers; all 0 at first. Undecided means permitted in silence. */
	__u32 found; /* PLAN_DECIDED, PLAN_AUDITED */
	__u32 outcome; /* word 0 of the step that decided: STEP_DENY, STEP_ALERT, STEP_POSTURE */
	__u32 rule;
	__u32 audit_rule; /* PLAN_AUDITED: raises its alert, rather than what decided */
};

static __always_inline int plan_holds(const struct plan_query *query, __u32 conditions)
{
	__u32 plain = STEP_IF_OWNER | STEP_IF_NOT_OWNER | STEP_IF_TERMINAL;

	if (conditions & plain & ~query->facts)
		return 0;
	if (!(conditions & (STEP_IF_ARGS_IN | STEP_IF_ARGS_NOT_IN)))
		return 1;
	return !!PLAN_ARGUMENTS_IN(query, conditions >> STEP_ARG_SET_SHIFT) ==
	       !!(conditions & STEP_IF_ARGS_IN);
}

/*
 * Looks at step `at` of the plan; to be called for 0, 1, 2, ... until it returns 1, at most PLAN_MAX_STEPS times.
 * Who only looks at metadata heeds nothing but a STEP_DENY without STEP_POSTURE, and no audit.
 */
static __always_inline long plan_step(__u32 at, struct plan_query *query)
{
	__u32 counts = IMAGE_WORD(query->base, query->plan);
	__u32 verdicts = counts & 0xffff;
	__u32 step = query->plan + 1 + 2 * at;
	__u32 conditions;

	if (!query->plan || at >= verdicts + (counts >> 16))
		return 1;
	if (at < verdicts && query->found & PLAN_DECIDED)
		return 0;
	if (query->outcome & STEP_DENY)
		return 1;
	conditions = IMAGE_WORD(query->base, step);
	if (!plan_holds(query, conditions))
		return 0;
	if (at < verdicts) {
		query->found |= PLAN_DECIDED;
		query->outcome = conditions;
		query->rule = IMAGE_WORD(query->base, step + 1);
		return 0;
	}
	query->found |= PLAN_AUDITED;
	query->audit_rule = IMAGE_WORD(query->base, step + 1);
	return 1;
}

#endif
