/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading DNS messages byte by byte, as they come: datagrams, or a stream in which each message has its length in
 * front. Of a message only the names in its question section are of interest. Needs what match.h needs, and is built
 * by host tests too.
 */
#ifndef KUBEARMOR_QUESTION_H
#define KUBEARMOR_QUESTION_H

#include "match.h"

/* question.at: what the next byte is. Numbers up to the first label count the bytes of length and header. */
#define QUESTION_AT_LENGTH 0
#define QUESTION_AT_HEADER 2
#define QUESTION_AT_COUNT 6
#define QUESTION_AT_LABEL 14 /* a label's length, 0 behind the last one */
#define QUESTION_AT_NAME 15  /* in a label */
#define QUESTION_AT_TYPE 16  /* type and class */
#define QUESTION_AT_REST 20  /* nothing of interest up to the message's end */

/* What a byte completes. */
#define QUESTION_GOES_ON 0
#define QUESTION_NAMED 1      /* a name: question.row is the row behind it */
#define QUESTION_NAMELESS 2   /* a message that asks for no name, or ends before its name does */
#define QUESTION_UNREADABLE 3 /* a name that is compressed, too long, or of unknown form */

#define QUESTION_NAME_MAX 255 /* with all lengths, as in a message */

struct question {
	__u32 row;
	__u32 left;    /* bytes to come of the message */
	__u32 segment; /* bytes of each message; 0: a stream, whose messages say themselves */
	__u16 count;   /* questions to come, with the one that is being read */
	__u8 at;
	__u8 label;    /* bytes to come of the label */
	__u8 length;   /* of the name so far, as in the message */
	__u8 lost;     /* a part of the name was not seen */
};

static __always_inline void question_begin(IMAGE_BASE base, struct question *q)
{
	q->row = IMAGE_WORD(base, IMAGE_AT_DNS_START);
	q->left = q->segment;
	q->at = q->segment ? QUESTION_AT_HEADER : QUESTION_AT_LENGTH;
	q->length = 0;
	q->lost = 0;
	q->count = 0;
}

/* Lower case; the bytes that mean something to the automaton, or come in no name of a rule, are one. */
static __always_inline __u8 question_fold(__u8 byte)
{
	if (byte >= 'A' && byte <= 'Z')
		return byte + ('a' - 'A');
	return byte && byte != '/' && byte != '.' ? byte : 255;
}

static __always_inline __u32 question_label(IMAGE_BASE base, __u32 map, struct question *q, __u8 byte)
{
	if (!byte) {
		q->at = QUESTION_AT_TYPE;
		return q->lost ? QUESTION_UNREADABLE : QUESTION_NAMED;
	}
	/* The last byte of a name is the length of its root. */
	if (byte > 63 || q->length + 1 + byte > QUESTION_NAME_MAX - 1) {
		q->at = QUESTION_AT_REST;
		return QUESTION_UNREADABLE;
	}
	q->length++;
	q->label = byte;
	q->at = QUESTION_AT_NAME;
	q->row = match_step(base, map, q->row, '.');
	return QUESTION_GOES_ON;
}

static __always_inline void question_next(IMAGE_BASE base, struct question *q)
{
	q->count--;
	q->at = q->count ? QUESTION_AT_LABEL : QUESTION_AT_REST;
	q->row = IMAGE_WORD(base, IMAGE_AT_DNS_START);
	q->length = 0;
	q->lost = 0;
}

static __always_inline __u32 question_inside(IMAGE_BASE base, __u32 map, struct question *q, __u8 byte)
{
	switch (q->at) {
	case QUESTION_AT_LABEL:
		return question_label(base, map, q, byte);
	case QUESTION_AT_NAME:
		q->row = match_step(base, map, q->row, question_fold(byte));
		q->length++;
		q->label--;
		if (!q->label)
			q->at = QUESTION_AT_LABEL;
		return QUESTION_GOES_ON;
	case QUESTION_AT_REST:
		return QUESTION_GOES_ON;
	case QUESTION_AT_REST - 1:
		question_next(base, q);
		return QUESTION_GOES_ON;
	case QUESTION_AT_COUNT:
	case QUESTION_AT_COUNT + 1:
		q->count = q->count << 8 | byte;
	}
	q->at++;
	if (q->at != QUESTION_AT_LABEL || q->count)
		return QUESTION_GOES_ON;
	q->at = QUESTION_AT_REST;
	return QUESTION_NAMELESS;
}

/* Takes the next byte; answers what it completes. */
static __always_inline __u32 question_byte(IMAGE_BASE base, __u32 map, struct question *q, __u8 byte)
{
	if (q->at < QUESTION_AT_HEADER) {
		q->left = q->left << 8 | byte;
		q->at++;
		if (q->at == QUESTION_AT_HEADER && !q->left)
			question_begin(base, q);
		return QUESTION_GOES_ON;
	}
	__u32 event = question_inside(base, map, q, byte);
	q->left--;
	if (q->left)
		return event;
	if (q->at < QUESTION_AT_TYPE)
		event = QUESTION_NAMELESS;
	/* The row is what the event is about: it stays for whoever judges. */
	__u32 row = q->row;
	question_begin(base, q);
	q->row = event == QUESTION_NAMED ? row : q->row;
	return event;
}

/* Passes over bytes that need no look, at most so many; answers how many. */
static __always_inline __u32 question_skip(struct question *q, __u32 most)
{
	__u32 count;

	if (q->at != QUESTION_AT_REST || q->left < 2)
		return 0;
	count = q->left - 1 < most ? q->left - 1 : most;
	q->left -= count;
	return count;
}

/*
 * The plan for what has been completed. A question whose row the message's end has left behind is at its beginning
 * again, so the row is not used twice.
 */
static __always_inline __u32 question_plan(IMAGE_BASE base, struct question *q, __u32 event, __u32 source)
{
	__u32 start = IMAGE_WORD(base, IMAGE_AT_DNS_START);
	__u32 row = event == QUESTION_NAMED ? q->row : start;

	if (q->at == QUESTION_AT_LENGTH || q->at == QUESTION_AT_HEADER)
		q->row = start;
	if (event == QUESTION_UNREADABLE)
		return IMAGE_WORD(base, IMAGE_WORD(base, IMAGE_AT_DNS_UNREADABLE) + source);
	return match_plan(base, IMAGE_AT_DNS, match_class(base, row), source);
}

#endif
