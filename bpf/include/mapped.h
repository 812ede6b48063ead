/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The file behind memory that was mapped. */
#ifndef KUBEARMOR_MAPPED_H
#define KUBEARMOR_MAPPED_H

#include "state.h"

/* By which path it was mapped: an overlay keeps its own handle on the layer below, and in that the user's path. */
static __always_inline struct path mapped_path(const struct vm_area_struct *vma)
{
	struct file *file = BPF_CORE_READ(vma, vm_file);
	struct backing_file *backing = (struct backing_file *)file;
	if (bpf_core_field_exists(backing->user_path) && BPF_CORE_READ(file, f_mode) & FMODE_NOACCOUNT)
		return BPF_CORE_READ(backing, user_path);
	return BPF_CORE_READ(file, f_path);
}

#endif
