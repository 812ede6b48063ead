/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Drives bpf/include/match.h on the host, as the BPF programs do in the kernel. */
#include <linux/types.h>
#include <string.h>

struct text {
	const __u8 *bytes;
	__u64 size;
};

/* Eight bytes of `left`, NUL behind them. */
static __u64 eight_at(const void *bytes, __u64 left)
{
	__u64 eight = 0;

	memcpy(&eight, bytes, left < 8 ? left : 8);
	return eight;
}

struct matcher_request;
struct plan_query;
static int arguments_in(const struct plan_query *query, __u32 set);

#define IMAGE_BASE const __u32 *
#define IMAGE_WORD(base, index) ((base)[(index) & ROW_PLACE])
#define IMAGE_MAP(base) ((base)[IMAGE_AT_BYTECLASS] * 4)
#define IMAGE_CLASS(base, map, byte) (((const __u8 *)(base))[(map) + (byte)])
#define IMAGE_EIGHT(base, index) eight_at((base) + ((index) & ROW_PLACE), 8)
#define MATCH_TEXT const __u8 *
#define MATCH_LETTERS(text, at, len) eight_at((text) + (at), (len) - (at))
#define PLAN_CONTEXT const struct matcher_request *
#define PLAN_ARGUMENTS_IN(query, set) arguments_in(query, set)
#include "question.h"

/* src/lib.rs repeats these two. */
struct matcher_request {
	__u32 table;
	__u32 object; /* socket class, capability or system call; paths have text */
	__u32 has_path;
	__u32 has_subject;
	__u32 owner;
	__u32 terminal;
	struct text path;
	struct text subject;
	const struct text *arguments;
	__u64 argument_count;
};

struct matcher_answer {
	__u32 found;
	__u32 outcome;
	__u32 rule;
	__u32 audit_rule;
};

/* The row behind a text that is no path. */
static __u32 row_of_text(const __u32 *image, __u32 row, const __u8 *bytes, __u64 size)
{
	__u32 map = IMAGE_MAP(image);
	__u64 at = 0;

	for (; at < size; at += 8)
		MATCH_EIGHT(image, map, row, eight_at(bytes + at, size - at));
	return row;
}

static __u32 row_of(const __u32 *image, const struct text *path)
{
	__u32 row = IMAGE_WORD(image, IMAGE_AT_START);
	const __u8 *end = path->bytes + path->size;
	const __u8 *at = path->bytes;

	while (at < end) {
		const __u8 *name = at;

		if (*at == '/') {
			row = match_slash(image, row);
			at++;
			continue;
		}
		while (at < end && *at != '/' && at - name < NAME_PIECE)
			at++;
		if (row & ROW_TABLE) {
			row = match_piece(image, row, name, at - name);
			if (!(row & ROW_INSIDE))
				continue;
		}
		row = row_of_text(image, row, name, at - name);
	}
	return row;
}

static __u32 class_of(const __u32 *image, const struct text *path)
{
	return match_class(image, row_of(image, path));
}

__u32 matcher_move(const __u32 *image, const struct text *from, const struct text *to, __u32 directory)
{
	return match_move(image, row_of(image, from), row_of(image, to), directory);
}

static int arguments_in(const struct plan_query *query, __u32 set)
{
	__u32 start = IMAGE_WORD(query->base, IMAGE_AT_ARG_START);
	__u32 bitmap = IMAGE_WORD(query->base, IMAGE_AT_ARG_SETS) + set * ARG_SET_WORDS;
	__u64 at;

	for (at = 0; at < query->context->argument_count; at++) {
		const struct text *argument = &query->context->arguments[at];
		__u32 row = row_of_text(query->base, start, argument->bytes, argument->size);
		__u32 class = match_class(query->base, row);
		__u32 bits = IMAGE_WORD(query->base, bitmap + class / 32);

		if (!class || !(bits >> (class % 32) & 1))
			return 0;
	}
	return 1;
}

int matcher_socket(__u32 family, __u32 type, __u32 protocol)
{
	return match_socket(family, type, protocol);
}

static void decide(struct plan_query *query, const struct matcher_request *request,
		   struct matcher_answer *answer)
{
	__u64 at;

	query->facts = request->owner ? STEP_IF_OWNER : STEP_IF_NOT_OWNER;
	if (request->terminal)
		query->facts |= STEP_IF_TERMINAL;
	for (at = 0; at < PLAN_MAX_STEPS; at++)
		if (plan_step(at, query))
			break;
	answer->found = query->found;
	answer->outcome = query->outcome;
	answer->rule = query->rule;
	answer->audit_rule = query->audit_rule;
}

void matcher_decide(const __u32 *image, const struct matcher_request *request,
		    struct matcher_answer *answer)
{
	__u32 object = request->object;
	__u32 source = 0;
	struct plan_query query = { .base = image, .context = request };

	if (request->has_path)
		object = class_of(image, &request->path);
	if (request->has_subject)
		source = match_source(image, class_of(image, &request->subject));
	if (request->table == IMAGE_AT_SYSCALL_PATH)
		query.plan = match_syscall_path(image, request->object, object, source);
	else
		query.plan = match_plan(image, request->table, object, source);
	decide(&query, request, answer);
}

/* Reads messages as they would be sent; answers what became of each name. Returns the number of answers. */
__u32 matcher_messages(const __u32 *image, const struct matcher_request *request, __u32 stream,
		       struct matcher_answer *answers, __u32 room)
{
	struct question question = { .segment = stream ? 0 : request->path.size };
	__u32 map = IMAGE_MAP(image);
	__u32 count = 0;
	__u32 source = 0;
	__u64 at;

	if (request->has_subject)
		source = match_source(image, class_of(image, &request->subject));
	question_begin(image, &question);
	for (at = 0; at < request->path.size && count < room; at++) {
		struct plan_query query = { .base = image, .context = request };
		__u32 event;

		at += question_skip(&question, request->path.size - at);
		if (at >= request->path.size)
			break;
		event = question_byte(image, map, &question, request->path.bytes[at]);
		if (!event)
			continue;
		query.plan = question_plan(image, &question, event, source);
		decide(&query, request, &answers[count++]);
	}
	return count;
}
