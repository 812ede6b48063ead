// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Opened files, by whatever call; and those, or the programs among them, that could not be opened. */
#include "observe.h"

#define ENOENT 2

static __always_inline int log_failure(int directory, struct filename *name, __u32 flags, long error)
{
	bool program = flags & FMODE_EXEC;
	struct label *label = observed(program ? VISIBLE_PROCESS : VISIBLE_FILE);
	/* What is not there is looked for all the time. */
	if (!label || error == -ENOENT)
		return 0;
	if (alert_told(label, OP_OPEN))
		return 0;
	const char *text = BPF_CORE_READ(name, name);
	struct repeat_key key = {
		.exec = label->exec,
		.object = text_key(number(text), MESSAGE_ASKED),
		.more = flags,
		.result = error,
		.operation = program ? OP_EXEC : OP_OPEN,
	};
	struct report *r = new_log(&key);
	if (!r)
		return 0;
	r->asked = number(text);
	r->asked_size = MESSAGE_ASKED;
	r->detail[0] = program ? 0 : flags;
	r->detail[1] = directory;
	report();
	return 0;
}

SEC("fexit/do_filp_open")
int BPF_PROG(after_open, int directory, struct filename *name, const struct open_flags *how,
	     struct file *file)
{
	__u32 flags = BPF_CORE_READ(how, open_flag);
	if (is_error(file))
		return log_failure(directory, name, flags, (long)number(file));
	/* Of programs that start the kernel tells otherwise. */
	if (flags & FMODE_EXEC)
		return 0;
	struct label *label = observed(VISIBLE_FILE);
	if (!label)
		return 0;
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	__u64 alerted = label->alerted;
	if (alert_told(label, OP_OPEN) && alerted == number(dentry))
		return 0;
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct repeat_key key = {
		.exec = label->exec,
		.object = BPF_CORE_READ(inode, i_ino),
		.more = (__u64)BPF_CORE_READ(inode, i_sb, s_dev) << 32 | flags,
		.operation = OP_OPEN,
	};
	struct report *r = new_log(&key);
	if (!r)
		return 0;
	r->dentry = number(dentry);
	r->mnt = number(BPF_CORE_READ(file, f_path.mnt));
	r->owner = BPF_CORE_READ(inode, i_uid.val);
	r->detail[0] = flags;
	r->detail[1] = directory;
	report();
	return 0;
}
