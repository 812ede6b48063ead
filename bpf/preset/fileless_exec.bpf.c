// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * `filelessExec`: programs that lie in memory only. That is files without a name, and files on a file system that is
 * kept in memory, unless the container itself was started on it. Executing one and having the dynamic loader map one
 * is the same, also where the mapping becomes executable later. A shared mapping is left to `anonymousMapExec`:
 * run-time compilers use it, loaders do not.
 */
#include "entry.h"
#include "nameless.h"
#include "preset.h"

static __always_inline bool in_memory(const struct subject *s, const struct file *file)
{
	if (has_no_name(file))
		return true;
	struct super_block *sb = BPF_CORE_READ(file, f_inode, i_sb);
	unsigned long magic = BPF_CORE_READ(sb, s_magic);
	return (magic == TMPFS_MAGIC || magic == RAMFS_MAGIC || magic == HUGETLBFS_MAGIC) &&
	       BPF_CORE_READ(sb, s_dev) != s->label->root_device;
}

SEC("lsm/bprm_check_security")
int BPF_PROG(preset_fileless_exec, struct linux_binprm *bprm, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	struct file *file = BPF_CORE_READ(bprm, file);
	if (!entered(&s) || !watched(&s, PRESET_FILELESS_EXEC) || !in_memory(&s, file))
		return 0;
	return judge_file(&s, PRESET_FILELESS_EXEC, OP_FILELESS_EXEC, file);
}

SEC("lsm/mmap_file")
int BPF_PROG(preset_fileless_load, struct file *file, unsigned long asked, unsigned long prot,
	     unsigned long flags, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (!(prot & PROT_EXEC) || (flags & MAP_TYPE) != MAP_PRIVATE || !file)
		return 0;
	if (!watched(&s, PRESET_FILELESS_EXEC) || !in_memory(&s, file))
		return 0;
	return judge_file(&s, PRESET_FILELESS_EXEC, OP_FILELESS_EXEC, file);
}

SEC("lsm/file_mprotect")
int BPF_PROG(preset_fileless_protect, struct vm_area_struct *vma, unsigned long asked, unsigned long prot,
	     int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	unsigned long has = BPF_CORE_READ(vma, vm_flags);
	struct file *file = BPF_CORE_READ(vma, vm_file);
	if (!(prot & PROT_EXEC) || has & (VM_EXEC | VM_SHARED) || !file)
		return 0;
	if (!watched(&s, PRESET_FILELESS_EXEC) || !in_memory(&s, file))
		return 0;
	return judge_file(&s, PRESET_FILELESS_EXEC, OP_FILELESS_EXEC, file);
}
