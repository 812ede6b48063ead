/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few kernel types that the programs look into, with only the members they use. CO-RE finds each member by name
 * in the running kernel's BTF, so offsets and the rest of a type do not matter here.
 */
#ifndef KUBEARMOR_KERNEL_H
#define KUBEARMOR_KERNEL_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define EPERM 1
#define ENOMEM 12
#define EACCES 13
#define EINPROGRESS 115

#define SIGKILL 9

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10

/* include/linux/fs.h, include/uapi/asm-generic/fcntl.h */
#define O_WRONLY 01
#define O_RDWR 02
#define O_TRUNC 01000
#define FMODE_READ 0x1
#define FMODE_WRITE 0x2
#define FMODE_PATH 0x4000
#define FMODE_NOACCOUNT 0x20000000
#define FMODE_EXEC 0x20 /* among the flags of an open: to execute it */

/* include/linux/fs.h: what an open file is to be used for */
#define MAY_WRITE 2
#define MAY_READ 4
#define MAY_APPEND 8

/* include/linux/fs.h: made by the kernel for itself; never to be mounted by a user */
#define SB_KERNMOUNT (1ul << 22)
#define SB_NOUSER (1ul << 31)

/* include/uapi/linux/magic.h */
#define PROC_SUPER_MAGIC 0x9fa0
#define TMPFS_MAGIC 0x01021994
#define RAMFS_MAGIC 0x858458f6
#define HUGETLBFS_MAGIC 0x958458f6

/* include/uapi/asm-generic/mman-common.h, include/uapi/linux/mman.h */
#define PROT_WRITE 2
#define PROT_EXEC 4
#define MAP_SHARED 1
#define MAP_PRIVATE 2
#define MAP_TYPE 0xf
#define MAP_ANONYMOUS 0x20

/* include/linux/mm.h */
#define VM_WRITE 2
#define VM_EXEC 4
#define VM_SHARED 8

/* include/uapi/linux/elf.h: a program's segments are told of one after the other, in two widths */
#define PT_INTERP 3
#define ELF_AT_WIDTH 4
#define ELF_64 2
#define ELF64_AT_SEGMENTS 32
#define ELF32_AT_SEGMENTS 28
#define ELF64_SEGMENT 56
#define ELF32_SEGMENT 32
#define ELF_SEGMENTS 7 /* as many as fit */
#define BINPRM_BUF_SIZE 256

/* include/uapi/linux/stat.h */
#define S_IFMT 0170000
#define S_IFCHR 0020000
#define S_IFDIR 0040000
#define S_IFBLK 0060000
#define S_IFREG 0100000

/* include/uapi/linux/fs.h */
#define RENAME_EXCHANGE 2

/* include/uapi/linux/mount.h */
#define MS_REMOUNT 32
#define MS_BIND 4096
#define MS_MOVE 8192
/* how a mount takes part in what happens to its peers */
#define MS_PROPAGATION (1ul << 17 | 1ul << 18 | 1ul << 19 | 1ul << 20)

/* include/linux/mount.h */
#define MNT_INTERNAL 0x4000

/* include/linux/security.h: the question is asked without meaning to act on it */
#define CAP_OPT_NOAUDIT 2

/* include/linux/fs.h: what a change of attributes sets */
#define ATTR_MODE 1
#define ATTR_UID 2
#define ATTR_GID 4
#define ATTR_SIZE 8
#define ATTR_ATIME 16
#define ATTR_MTIME 32

/* arch/x86/include/asm/thread_info.h: a call by the numbers of 32 bits */
#define TS_COMPAT 2

/* include/linux/ptrace.h */
#define PTRACE_MODE_ATTACH 0x02

#define PF_KTHREAD 0x00200000
#define PF_IO_WORKER 0x00000010

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	__u32 val;
} kuid_t;

struct qstr {
	__u32 len;
	const unsigned char *name;
};

struct hlist_bl_node {
	struct hlist_bl_node **pprev;
};

struct list_head {
	struct list_head *next;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct super_block {
	__u32 s_dev;
	struct dentry *s_root;
	unsigned long s_flags;
	unsigned long s_magic;
	struct list_head s_mounts;
};

struct seqcount {
	unsigned int sequence;
};

struct inode {
	__u16 i_mode;
	__u32 i_generation;
	kuid_t i_uid;
	unsigned long i_ino;
	unsigned int i_nlink;
	__u32 i_rdev;
	struct hlist_head i_dentry;
	struct super_block *i_sb;
};

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	struct super_block *d_sb;
};

/* The names of an inode, as they were chained when files of an overlay still had its path. */
struct dentry___chained {
	union {
		struct hlist_node d_alias;
	} d_u;
};

struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
	int mnt_flags;
};

struct ns_common {
	unsigned int inum;
};

struct mnt_namespace {
	struct ns_common ns;
};

/* What a detached mount belongs to has no number among its kind; the number's place has changed. */
struct mnt_namespace___numbered {
	__u64 seq;
};

struct ns_common___identified {
	__u64 ns_id;
};

struct mnt_namespace___identified {
	struct ns_common___identified ns;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct list_head mnt_instance;
	struct mnt_namespace *mnt_ns;
	int mnt_group_id; /* 0: it has no peers */
};

/* Since 6.18 a super block chains its mounts by plain pointers. */
struct super_block___chained {
	struct mount *s_mounts;
};

struct mount___chained {
	struct mount *mnt_next_for_sb;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
	unsigned int f_flags;
	unsigned int f_mode;
	void *private_data;
};

/* Since 6.7: whose `file` has the path of the layer below. */
struct backing_file {
	struct file file;
	struct path user_path;
};

/* A name that a system call was given, as the kernel copied it. */
struct filename {
	const char *name;
};

struct open_flags {
	int open_flag;
};

struct fs_struct {
	struct path root;
	struct path pwd;
};

/* Two words of 32 bits before 6.3; the same bytes. */
typedef struct {
	__u64 val;
} kernel_cap_t;

struct cred {
	kuid_t uid;
	kuid_t fsuid;
	kernel_cap_t cap_permitted;
	kernel_cap_t cap_effective;
};

typedef struct {
	unsigned long pgd;
} pgd_t;

struct mm_struct {
	struct file *exe_file;
	pgd_t *pgd;
	unsigned long arg_start;
	unsigned long arg_end;
};

struct task_struct;

struct pid_namespace {
	struct task_struct *child_reaper;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct hlist_head tasks[1]; /* by PIDTYPE_* */
	struct upid numbers[1];
};

struct tty_struct {
	char name[64];
};

struct signal_struct {
	struct tty_struct *tty;
};

/* By 64 to a word. */
struct fdtable {
	unsigned int max_fds;
	struct file **fd;
	unsigned long *close_on_exec;
	unsigned long *open_fds;
};

struct files_struct {
	struct fdtable *fdt;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup_subsys_state *subsys[1]; /* by number; there are more */
	struct cgroup *dfl_cgrp;
};

enum cgroup_subsys_id {
	devices_cgrp_id, /* a kernel may number it otherwise */
};

struct bpf_map {
	__u32 id;
};

struct bpf_link {
	__u32 id;
};

struct thread_info {
	__u32 status;
};

/* The registers at the entry of a system call. */
struct pt_regs___call {
	unsigned long di;
	unsigned long orig_ax;
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct cred *real_cred;
	struct cred *cred;
	struct io_uring_task *io_uring;
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct pid *thread_pid;
	struct hlist_node pid_links[1]; /* by PIDTYPE_* */
	struct css_set *cgroups;
	__u64 start_boottime;
};

struct anon_vma;

struct vm_area_struct {
	unsigned long vm_flags;
	struct anon_vma *anon_vma;
	struct file *vm_file;
};

/* An inode of procfs; `pid` is of the process whose entry it is. */
struct proc_inode {
	struct pid *pid;
	struct inode vfs_inode;
};

struct linux_binprm {
	char buf[BINPRM_BUF_SIZE]; /* the file's beginning */
	struct file *file;
	struct mm_struct *mm;
	unsigned long p;
	unsigned long exec;
	int argc;
};

/* Of use here only because it begins with 64 bits: see EIGHT_AT. */
struct timespec64 {
	__s64 tv_sec;
};

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct sock_common {
	unsigned short skc_family;
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport;
	__u16 skc_num;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
};

struct socket {
	short type;
	struct sock *sk;
};

struct unix_sock {
	struct path path;
};

struct sockaddr;

struct msghdr {
	void *msg_name;
	int msg_namelen;
};

struct iattr {
	unsigned int ia_valid;
};

struct bpf_iter_meta;

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

struct user_namespace;
struct mnt_idmap;

/* 6.2 and later: lets the verifier read a pointer as a type without a helper call. */
extern void *bpf_rdonly_cast(const void *object, __u32 type) __ksym __weak;

/*
 * A member of the kernel object at an address, or of one that it leads to; 0 behind a bad address. As BPF_CORE_READ,
 * of which each arrow is a helper call that takes far longer than the load that it does.
 */
#define FIELD(type, object, ...)                                                                           \
	({                                                                                                 \
		___type(((type *)0), __VA_ARGS__) field_;                                                  \
		const void *object_ = (const void *)(object);                                              \
		if (bpf_ksym_exists(bpf_rdonly_cast))                                                      \
			field_ = ___arrow(((type *)bpf_rdonly_cast(object_, bpf_core_type_id_kernel(type))), \
					  __VA_ARGS__);                                                    \
		else                                                                                       \
			field_ = BPF_CORE_READ((type *)object_, __VA_ARGS__);                              \
		field_;                                                                                    \
	})

/* Eight bytes at an address of the kernel's. */
#define EIGHT_AT(address) ((__u64)FIELD(struct timespec64, address, tv_sec))

#endif
