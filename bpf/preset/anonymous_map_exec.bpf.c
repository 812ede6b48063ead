// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * `anonymousMapExec`: executable memory whose content is not that of a file. That is memory without a file (also where
 * it becomes executable later), mappings of files without a name and of devices, and private mappings of a file that
 * are writable or have been written to.
 */
#include "nameless.h"
#include "preset.h"

/* The running program is a file also where it has no name: `filelessExec` says whether it may run. */
static __always_inline bool is_program(const struct file *file)
{
	struct task_struct *task = bpf_get_current_task_btf();
	return number(BPF_CORE_READ(task, mm, exe_file, f_inode)) == number(BPF_CORE_READ(file, f_inode));
}

static __always_inline bool holds_a_file(const struct file *file)
{
	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) == S_IFCHR)
		return false;
	return !has_no_name(file) || is_program(file);
}

static __always_inline int judge_map(const struct file *file, __u32 asked, __u32 prot, __u32 flags)
{
	struct subject s = {};
	if (!watched(&s, PRESET_ANONYMOUS_MAP_EXEC))
		return 0;
	struct act act = {
		.base = s.base,
		.image = s.image,
		.preset = PRESET_ANONYMOUS_MAP_EXEC,
		.operation = OP_ANONYMOUS_MAP_EXEC,
		.detail = { asked, prot, flags },
	};
	if (file) {
		act.dentry = (__u64)BPF_CORE_READ(file, f_path.dentry);
		act.mnt = (__u64)BPF_CORE_READ(file, f_path.mnt);
	}
	return judge_act(&act) ? -EACCES : 0;
}

SEC("lsm/mmap_file")
int BPF_PROG(preset_anonymous_map, struct file *file, unsigned long asked, unsigned long prot,
	     unsigned long flags, int ret)
{
	if (ret)
		return ret;
	if (!(prot & PROT_EXEC))
		return 0;
	bool own_copy = (flags & MAP_TYPE) == MAP_PRIVATE;
	if (holds_a_file(file) && !(own_copy && prot & PROT_WRITE))
		return 0;
	return judge_map(file, asked, prot, flags);
}

SEC("lsm/file_mprotect")
int BPF_PROG(preset_anonymous_protect, struct vm_area_struct *vma, unsigned long asked, unsigned long prot,
	     int ret)
{
	if (ret)
		return ret;
	if (!(prot & PROT_EXEC))
		return 0;
	unsigned long has = BPF_CORE_READ(vma, vm_flags);
	struct file *file = BPF_CORE_READ(vma, vm_file);
	bool becomes_writable = prot & PROT_WRITE && !(has & VM_WRITE);
	bool becomes_executable = !(has & VM_EXEC);
	if (!becomes_writable && !becomes_executable)
		return 0;
	if (holds_a_file(file) &&
	    (has & VM_SHARED || (!(prot & PROT_WRITE) && !BPF_CORE_READ(vma, anon_vma))))
		return 0;
	__u32 flags = (has & VM_SHARED ? MAP_SHARED : MAP_PRIVATE) | (file ? 0 : MAP_ANONYMOUS);
	return judge_map(file, asked, prot, flags);
}
