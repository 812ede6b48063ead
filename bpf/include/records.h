/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel tells user space. One record is one message of a ring buffer: this head, then `path_size` bytes
 * of path, `cwd_size` bytes of working directory and `args_size` bytes of arguments. crates/wire repeats the layout; a
 * test compares it with the object's BTF.
 *
 * A path is a list of names, leaf first, each ended by a NUL: "ledger\0bank\0srv\0" is /srv/bank/ledger. The
 * arguments are as in memory, each ended by a NUL, argv[0] first; the last one lacks its NUL if it was cut. The path
 * of a DNS query is its name as in the message, a length before each label.
 */
#ifndef KUBEARMOR_RECORDS_H
#define KUBEARMOR_RECORDS_H

#define RECORD_VERSION 2

/* kind */
#define RECORD_ALERT 1 /* a denial, or what an audit rule or posture reports */
#define RECORD_EXEC 2  /* a governed process has become another program */
#define RECORD_LOG 3   /* something visible that no rule speaks of */

/* operation: the hook, as the alert's Data shows it */
#define OP_EXEC 1
#define OP_OPEN 2
#define OP_UNLINK 3
#define OP_MKDIR 4
#define OP_RMDIR 5
#define OP_MKNOD 6
#define OP_SYMLINK 7
#define OP_LINK 8
#define OP_RENAME 9
#define OP_CHMOD 10
#define OP_CHOWN 11
#define OP_TRUNCATE 12
#define OP_UTIMES 13
#define OP_SETXATTR 14
#define OP_GETATTR 15
#define OP_MMAP 16
#define OP_LOAD 17 /* mapping a program: what the dynamic loader does to run it */
#define OP_INHERIT 18 /* having it open from the program that executed one */
#define OP_RECEIVE 19 /* being given it, open */
#define OP_USE 20     /* reading or writing what is open already */
#define OP_MOUNT 21
#define OP_UMOUNT 22
#define OP_SETATTR 24
#define OP_SOCKET_CREATE 32
#define OP_SOCKET_CONNECT 33
#define OP_SOCKET_SENDMSG 34
#define OP_SOCKET_BIND 35
#define OP_SOCKET_LISTEN 36
#define OP_SOCKET_ACCEPT 37
#define OP_DNS_QUERY 38
#define OP_SOCKET_RECVMSG 39
#define OP_CAPABLE 64
#define OP_SYSCALL 96
/* presets */
#define OP_ANONYMOUS_MAP_EXEC 112
#define OP_FILELESS_EXEC 113
#define OP_PROTECT_ENV 114
#define OP_EXEC_PRESET 115
#define OP_PROTECT_PROC 116
/* to a process */
#define OP_SIGNAL 128
#define OP_PTRACE 129
#define OP_SET_LIMITS 130 /* or how it is scheduled */
#define OP_BPF 131

/* flags */
#define RECORD_PATH_CUT 1     /* the path did not fit */
#define RECORD_ARGS_CUT 2     /* the arguments did not fit */
#define RECORD_NO_NAME 4      /* the object never had a path; the record has what it calls itself, as "memfd:x" */
#define RECORD_UNRESOLVED 8   /* the path could not be followed to the namespace's root */
#define RECORD_VISIBLE 16     /* RECORD_EXEC: to be logged, too */
#define RECORD_ASKED 32       /* the path is the text that was asked for: there is no object */
#define RECORD_CWD_CUT 64     /* the working directory did not fit */
#define RECORD_PROCFS 128     /* the path begins at the root of a procfs, wherever that is mounted */

/* classes of events that a workload's visibility names */
#define VISIBLE_PROCESS 1
#define VISIBLE_FILE 2
#define VISIBLE_NETWORK 4
#define VISIBLE_CAPABILITIES 8
#define VISIBLE_DNS 16

/* syscall: not one of the machine's own numbers */
#define NO_SYSCALL 0xffffffffu

struct record {
	__u16 version;
	__u16 kind;
	__u16 operation;
	__u16 flags;
	__u32 path_size;
	__u32 args_size;
	__u64 time;        /* CLOCK_MONOTONIC, ns */
	__u64 exec;        /* the acting program: an id that is new at every exec; RECORD_EXEC: the new program */
	__u64 parent_exec; /* the program of the parent process; RECORD_EXEC: the program that called execve */
	__u32 slot;        /* the workload */
	__u32 generation;  /* of the slot */
	__u32 image;       /* number of the image that decided */
	__u32 rule;        /* rule id in that image, RULE_POSTURE or RULE_UNRESOLVED */
	__s32 result;      /* 0, or a negative errno */
	__u32 host_pid;    /* thread group, initial pid namespace */
	__u32 host_ppid;
	__u32 pid;         /* thread group, innermost pid namespace */
	__u32 ppid;        /* the parent as seen from there, 0 if it is outside */
	__u32 uid;         /* real uid, initial user namespace */
	__u32 owner;       /* uid of the object, initial user namespace */
	/*
	 * open: flags, directory's descriptor · socket: family, type, protocol, port · capability: number ·
	 * syscall: number of its name · map: PROT asked for, PROT, MAP ·
	 * RECORD_LOG of a DNS query: family, type of the question, protocol, port
	 */
	__u32 detail[4];
	__u8 address[16];  /* socket: IPv4 in the first four bytes, or IPv6 */
	char comm[16];
	char tty[16];      /* "pts0", empty without a controlling terminal */
	__u32 cwd_size;
	__u32 syscall;     /* number of the system call that the task is in, or NO_SYSCALL */
	__s32 descriptor;  /* its first argument */
	__u32 repeats;     /* RECORD_LOG: the like that were kept back since the last one */
	__u32 reserved; /* the path, the working directory and the arguments follow */
};

#endif
