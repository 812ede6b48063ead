// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Signals to the agent's process, tracing it, and limits that would end or starve it. */
#include "own.h"

static __always_inline int own_process(struct task_struct *task, __u32 operation)
{
	if (!is_agent(task) || !confined())
		return 0;
	struct file *program = BPF_CORE_READ(task, mm, exe_file);
	return own_refuse((__u64)BPF_CORE_READ(program, f_path.dentry),
			  (__u64)BPF_CORE_READ(program, f_path.mnt), operation, EPERM);
}

SEC("lsm/task_kill")
int BPF_PROG(own_kill, struct task_struct *task, void *info, int signal, const struct cred *cred, int ret)
{
	return ret || !signal ? ret : own_process(task, OP_SIGNAL);
}

/* Sent by the kernel when something happens to a file: nobody knows for whom. The agent asks for no such signals. */
SEC("lsm/file_send_sigiotask")
int BPF_PROG(own_file_signal, struct task_struct *task, void *owner, int signal, int ret)
{
	return ret || !is_agent(task) ? ret : -EPERM;
}

SEC("lsm/ptrace_access_check")
int BPF_PROG(own_ptrace, struct task_struct *task, unsigned int mode, int ret)
{
	return ret || !(mode & PTRACE_MODE_ATTACH) ? ret : own_process(task, OP_PTRACE);
}

SEC("lsm/task_setrlimit")
int BPF_PROG(own_setrlimit, struct task_struct *task, unsigned int resource, void *limit, int ret)
{
	return ret ? ret : own_process(task, OP_SET_LIMITS);
}

SEC("lsm/task_setscheduler")
int BPF_PROG(own_setscheduler, struct task_struct *task, int ret)
{
	return ret ? ret : own_process(task, OP_SET_LIMITS);
}

SEC("lsm/task_setnice")
int BPF_PROG(own_setnice, struct task_struct *task, int nice, int ret)
{
	return ret ? ret : own_process(task, OP_SET_LIMITS);
}

SEC("lsm/task_setioprio")
int BPF_PROG(own_setioprio, struct task_struct *task, int priority, int ret)
{
	return ret ? ret : own_process(task, OP_SET_LIMITS);
}
