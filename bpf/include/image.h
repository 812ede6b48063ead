/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The compiled form of one RuleSet: an image of 32-bit words in one region of the arena. User space writes an
 * image once, then points slots at it; a published image never changes. All offsets are in words from the image's
 * base. crates/compile/src/layout.rs repeats these numbers.
 *
 * Automaton. A row holds one state: word 0 is its path class, word ROW_FUTURE its future, word ROW_SLASH the row behind
 * a slash. A row is named by its offset from the image's base, so a step is one load. A path goes from IMAGE_AT_START,
 * by turns over a slash and a name ("/etc/passwd"; the root directory is "/"). Path class 0 means no rule names this
 * path. A name is looked up in a table or stepped byte by byte, as the number of the row before it says.
 *
 * Tables (ROW_TABLE in the row's number) stand where rules name all that they mean letter by letter. A name is taken in
 * pieces of NAME_PIECE bytes, padded with NUL to words of eight. Their hash finds a seed, hash and seed find a slot, the
 * slot has the one row that may be behind this piece: it is, if its word ROW_LENGTH is the piece's length and the words
 * of eight before it, last one first, are the piece. Otherwise word ROW_DEFAULT is the row behind it. Word ROW_SHAPE: the
 * number of seeds less one in the low half, that of slots less one in the high half; both are powers of two. The seeds
 * are at ROW_SEEDS, the slots behind them; an empty slot is 0. With ROW_INSIDE in ROW_DEFAULT, the piece is stepped byte
 * by byte from that row, which knows what is not in the table. A row that a table leads to ends with ROW_SLASH unless
 * it is a table itself, since the name is over; rows of pieces that are whole are such. ROW_SINK: the row is behind
 * every name that begins here, too.
 *
 * Rows without a table have a next row per byte class from ROW_SLASH on, and at ROW_LENGTH themselves. The byte class map
 * has 256 bytes, which are the indices of those words. The NUL byte always maps to the word that leads a row to itself, so
 * names can be stepped eight bytes at a time. Only such rows are found from IMAGE_AT_ARG_START and IMAGE_AT_DNS_START.
 *
 * Multi-call binaries. Where word 0 has ROW_MULTICALL set, the path is a multi-call binary; as an executable
 * (object of an exec, or subject) the walk goes on with "//" and the applet's name.
 *
 * Futures. Of two rows of one future, whatever may be stepped behind them is denied alike, so a directory may be
 * renamed from one to the other ('/' stepped) without undoing a rule. Future 0: nothing is denied. For single objects
 * path classes have signatures in the same sense. Only what rules deny to run counts, and what anything denies to
 * read or change.
 *
 * DNS names are stepped from IMAGE_AT_DNS_START, first label first and each with a dot before it, in lower case; of
 * the bytes of a label, NUL, slash and dot are stepped as 255, which no rule's name has. The root is the empty name.
 *
 * Plans. What is decided for one path class (or socket class, or capability) and one source class. Word 0 of a plan:
 * number of verdict steps in the low half, number of audit steps in the high half. Then the steps, two words each:
 * condition bits with an outcome, and a rule id. The first verdict step whose conditions all hold decides; if none
 * does, the access is permitted in silence. If the access is permitted, the first audit step whose conditions all
 * hold raises its rule's alert, and takes the place of a posture's alert. A plan offset of 0 is the empty plan.
 */
#ifndef KUBEARMOR_IMAGE_H
#define KUBEARMOR_IMAGE_H

#define IMAGE_MAGIC 0x4b41494d /* "KAIM" */
#define IMAGE_VERSION 3

/* Word indices of the image's header. */
#define IMAGE_AT_MAGIC 0
#define IMAGE_AT_VERSION 1
#define IMAGE_AT_WORDS 2      /* length of the whole image in words */
#define IMAGE_AT_FLAGS 3      /* IMAGE_HAS_* */
#define IMAGE_AT_BYTECLASS 4  /* the byte class map: 64 words */
#define IMAGE_AT_START 5      /* row of the start state for paths */
#define IMAGE_AT_ARG_START 6  /* row of the start state for arguments, 0 if no rule has any */
#define IMAGE_AT_SOURCES 7    /* path class -> source class, one word each */
#define IMAGE_AT_SOURCE_COUNT 8
#define IMAGE_AT_PATH_COUNT 9 /* number of path classes */
#define IMAGE_AT_EXEC 10      /* path class -> offset of a line: source class -> plan offset. 0: no rule of this class */
#define IMAGE_AT_READ 11      /* likewise, for reading files */
#define IMAGE_AT_CHANGE 12    /* likewise, for changing files */
#define IMAGE_AT_SOCKET 13    /* socket class -> offset of a line. 0: no network rules */
#define IMAGE_AT_CAPABILITY 14 /* capability number (64) -> offset of a line. 0: no capability rules */
#define IMAGE_AT_ARG_SETS 15  /* argument set -> bitmap of argument classes, ARG_SET_WORDS words each */
#define IMAGE_AT_SIGNATURES 16 /* path class -> signature, a rule that denies something. 0: nothing is denied */
#define IMAGE_AT_FUTURES 17   /* future -> the nearest rule that denies something, the nearest that denies a change */
#define IMAGE_AT_PRESET 20    /* PRESET_* -> offset of a line. 0: no presets */
#define IMAGE_AT_DNS 24       /* path class of a DNS name -> offset of a line. 0: no DNS rules */
#define IMAGE_AT_DNS_START 25 /* row of the start state for DNS names */
#define IMAGE_AT_DNS_UNREADABLE 26 /* offset of the line for queries whose name cannot be read */
#define IMAGE_AT_SYSCALL 27   /* number of a call's name (512) -> offset of a line. 0: no rule on calls alone */
#define IMAGE_AT_SYSCALL_PATH 28 /* likewise -> 0, or SYSCALL_OPENS and the offset of: path class -> line */
#define IMAGE_HEADER_WORDS 32

/* IMAGE_AT_FLAGS */
#define IMAGE_HAS_PROCESS 1
#define IMAGE_HAS_FILE 2
#define IMAGE_HAS_NETWORK 4
#define IMAGE_HAS_CAPABILITY 8
#define IMAGE_HAS_ARGUMENTS 16
#define IMAGE_HAS_MULTICALL 32
#define IMAGE_HAS_PRESET 256
#define IMAGE_HAS_DNS 64
#define IMAGE_HAS_SYSCALL 128
#define IMAGE_HAS_FILE_SOURCES 512 /* a file rule asks for a subject, so an exec may change rights */
#define IMAGE_HAS_ALIASES 1024 /* something that rules name has other names, which are hard links */

#define ROW_CLASS_MASK 0x00ffffff
#define ROW_MULTICALL 0x80000000
#define ROW_LENGTH 1
#define ROW_FUTURE 2
#define ROW_SLASH 3
#define ROW_DEFAULT 4
#define ROW_SHAPE 5
#define ROW_SEEDS 6

/* In the number of a row, above its place. */
#define ROW_TABLE 0x80000000
#define ROW_SINK 0x40000000
#define ROW_INSIDE 0x20000000
#define ROW_PLACE 0x00ffffff

#define NAME_PIECE 32
#define NAME_MULTIPLIER 0x9e3779b97f4a7c15

/* Word 0 of a step. */
#define STEP_IF_OWNER 0x01
#define STEP_IF_NOT_OWNER 0x02
#define STEP_IF_TERMINAL 0x04
#define STEP_IF_ARGS_IN 0x08     /* every argument is in the set of bits 16..31 */
#define STEP_IF_ARGS_NOT_IN 0x10 /* some argument is not */
#define STEP_DENY 0x100          /* outcome: denied, with an alert */
#define STEP_ALERT 0x200         /* outcome: permitted, with an alert (audit posture, audit steps) */
#define STEP_POSTURE 0x400       /* not a rule but the class's default posture decides */
#define STEP_NAMED 0x800         /* STEP_DENY: by a rule that means these programs alone, not all of a folder or pattern */
#define STEP_ARG_SET_SHIFT 16

/* Word 1 of a step: the rule's id, or one of these. */
#define RULE_POSTURE 0xfffffffe
#define RULE_UNRESOLVED 0xfffffffd
#define RULE_SELF 0xfffffffc /* no rule of a policy: the agent protects itself */
#define RULE_NONE 0xffffffff /* permitted in silence, as at the end of the steps */

#define PLAN_MAX_STEPS 64
#define ARG_SET_WORDS 32 /* up to 1,024 different arguments in an image */

/* Socket class: family group, type and protocol of a socket folded into 0..191. */
#define SOCKET_FAMILY_INET 0
#define SOCKET_FAMILY_PACKET 1
#define SOCKET_FAMILY_OTHER 2 /* raw sockets only */
/* types: 0 other, 1 stream, 2 dgram, 3 raw, 4 rdm, 5 seqpacket, 6 dccp, 7 packet */
/* protocols: 0 other, 1 tcp, 2 udp, 3 icmp, 4 icmpv6, 5 sctp */
#define SOCKET_CLASS(family, type, protocol) ((family) << 6 | (type) << 3 | (protocol))
#define SOCKET_CLASSES 256

#define CAPABILITIES 64

/* Presets. Their plans are the same for every source class. */
#define PRESET_ANONYMOUS_MAP_EXEC 0
#define PRESET_FILELESS_EXEC 1
#define PRESET_PROTECT_ENV 2
#define PRESET_EXEC 3
#define PRESET_PROTECT_PROC 4
#define PRESETS 8
/* Calls are numbered by their names' place in the sorted list of all names, the same on every architecture. */
#define SYSCALLS 512
#define SYSCALL_OPENS 0x80000000 /* the call opens its path, and creates it only by the way */

#endif
