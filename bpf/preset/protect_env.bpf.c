// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* `protectEnv`: the environment of another process, in whatever mount of procfs and by whatever of its names. */
#include "procfs.h"

static __always_inline bool is_environment(struct dentry *dentry)
{
	static const char wanted[] = "environ";
	char name[8] = {};
	if (dentry->d_name.len != sizeof(wanted) - 1)
		return false;
	bpf_probe_read_kernel(name, sizeof(wanted) - 1, dentry->d_name.name);
	return !__builtin_memcmp(name, wanted, sizeof(wanted));
}

SEC("lsm/file_open")
int BPF_PROG(preset_protect_env, struct file *file, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	struct dentry *dentry = file->f_path.dentry;
	if (!of_procfs(file->f_inode) || !is_environment(dentry))
		return 0;
	if (!watched(&s, PRESET_PROTECT_ENV) || !of_another_process(s.task, file->f_inode))
		return 0;
	return judge_entry(&s, PRESET_PROTECT_ENV, OP_PROTECT_ENV, dentry);
}
