// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Every use of a file that is open already. Attached only while somebody has one open that rules deny since. */
#include "mapped.h"
#include "names.h"
#include "old.h"

static __always_inline bool is_old(const struct inode *inode)
{
	struct old_file file = old_file(inode);
	return bpf_map_lookup_elem(&old_files, &file) || settings.old_beyond == settings.look;
}

static __always_inline struct scratch *used(const struct subject *s, const struct path *path, __u32 flags,
					    __u16 operation)
{
	struct scratch *scratch = new_access(s, operation);
	if (!scratch)
		return NULL;
	struct access *a = &scratch->access;
	struct dentry *dentry = path->dentry;
	a->dentry = (__u64)dentry;
	a->mnt = (__u64)path->mnt;
	a->owner = (__u64)BPF_CORE_READ(dentry, d_inode);
	a->handed = HANDED_NOW;
	a->flags = flags;
	return scratch;
}

/* 0 or a negative errno for reading or changing an open file. */
static __always_inline int guard_use(const struct path *path, bool reads, bool changes, __u32 flags,
				     __u16 operation)
{
	struct subject s = {};
	struct dentry *dentry = path->dentry;
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	if (!is_old(inode) || !governed(&s) || probed_unlinked(dentry) ||
	    from_outside(s.task, (__u64)path->mnt))
		return 0;
	struct scratch *scratch = used(&s, path, flags, operation);
	if (!scratch)
		return -EACCES;
	scratch->access.change = 1;
	if (changes && guard_names(&s, scratch))
		return -EACCES;
	if (!reads)
		return 0;
	scratch = used(&s, path, flags, operation);
	return !scratch || guard_names(&s, scratch) ? -EACCES : 0;
}

SEC("lsm/file_permission")
int BPF_PROG(on_use, struct file *file, int mask, int ret)
{
	if (ret)
		return ret;
	/* Of what an overlay does with its own handle, the user's has been asked about. */
	if (file->f_mode & FMODE_NOACCOUNT)
		return 0;
	struct path path = { file->f_path.mnt, file->f_path.dentry };
	return guard_use(&path, mask & MAY_READ, mask & (MAY_WRITE | MAY_APPEND), file->f_flags, OP_USE);
}

SEC("lsm/mmap_file")
int BPF_PROG(on_use_map, struct file *file, unsigned long asked, unsigned long prot, unsigned long flags,
	     int ret)
{
	if (ret)
		return ret;
	if (!file)
		return 0;
	struct path path = { file->f_path.mnt, file->f_path.dentry };
	bool changes = (flags & MAP_TYPE) != MAP_PRIVATE && prot & PROT_WRITE;
	return guard_use(&path, true, changes, file->f_flags, OP_MMAP);
}

SEC("lsm/file_mprotect")
int BPF_PROG(on_use_map_later, struct vm_area_struct *vma, unsigned long asked, unsigned long prot, int ret)
{
	if (ret)
		return ret;
	struct file *file = BPF_CORE_READ(vma, vm_file);
	if (!file)
		return 0;
	struct path path = mapped_path(vma);
	bool changes = BPF_CORE_READ(vma, vm_flags) & VM_SHARED && prot & PROT_WRITE;
	return guard_use(&path, true, changes, BPF_CORE_READ(file, f_flags), OP_MMAP);
}
