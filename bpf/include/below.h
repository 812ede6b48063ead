/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What else a new name does: by a rename or a hard link an object, and all that is below a directory, would come out
 * of the rules that its path is under. Who asks does not matter, for the name is there for everybody.
 */
#ifndef KUBEARMOR_BELOW_H
#define KUBEARMOR_BELOW_H

#include "guard.h"

static __always_inline const struct inode *inode_of(const struct target *t)
{
	const struct dentry *dentry = (const struct dentry *)t->dentry;
	return BPF_CORE_READ(dentry, d_inode);
}

static __always_inline bool is_directory(const struct inode *inode)
{
	return (BPF_CORE_READ(inode, i_mode) & S_IFMT) == S_IFDIR;
}

#define BELOW_DENIED 0
#define BELOW_CHANGE 1

/* The rule that denies something below what has this row, RULE_NONE if none does. */
static __always_inline __u32 rule_below(__u32 base, __u32 row, __u32 kind)
{
	if (!word(base + IMAGE_AT_SIGNATURES))
		return RULE_NONE;
	__u32 future = word(base + match_slash(base, row) + ROW_FUTURE);
	return word(base + word(base + IMAGE_AT_FUTURES) + 2 * future + kind);
}

/* Whether rules see no difference between what has the one row and what has the other, nor below. */
static __always_inline bool alike(__u32 base, __u32 row, __u32 other)
{
	return word(base + row) == word(base + other) && match_slash(base, row) == match_slash(base, other);
}

/* The rule that denies something of it or below. */
static __always_inline __u32 rule_on(__u32 base, __u32 row)
{
	__u32 table = word(base + IMAGE_AT_SIGNATURES);
	__u32 rule = table ? word(base + table + 2 * match_class(base, row) + 1) : RULE_NONE;
	return rule != RULE_NONE ? rule : rule_below(base, row, BELOW_DENIED);
}

/* Reports, and refuses for the sake of what lies below. */
static __always_inline int refuse_names(const struct target *t, __u32 image, __u32 rule, __u16 operation)
{
	struct report *r = new_report(RECORD_ALERT, operation, image);
	if (!r)
		return -EACCES;
	r->dentry = t->dentry;
	r->mnt = t->mnt;
	r->rule = rule;
	r->result = -EACCES;
	r->flags = rule == RULE_UNRESOLVED ? RECORD_UNRESOLVED : 0;
	report();
	return -EACCES;
}

/* The rule that forbids it; RULE_NONE. What has no path is under no rule. */
static __always_inline __u32 forbids_move(const struct target *from, const struct target *to)
{
	__u32 base = from->base;
	if (from->status == WALK_NO_NAME || !word(base + IMAGE_AT_SIGNATURES))
		return RULE_NONE;
	if (from->status != WALK_OK || to->status != WALK_OK)
		return RULE_UNRESOLVED;
	return match_move(base, from->row, to->row, is_directory(inode_of(from)));
}

/* 0, or a negative errno, which is reported. Both names have been resolved. */
__noinline int moved(struct move *m)
{
	if (!m)
		return 0;
	__u32 rule = forbids_move(&m->from, &m->to);
	if (rule == RULE_NONE)
		return 0;
	const struct inode *inode = inode_of(&m->from);
	struct report *r = new_report(RECORD_ALERT, m->operation, m->image);
	if (!r)
		return -EACCES;
	r->dentry = m->from.dentry;
	r->mnt = m->from.mnt;
	r->rule = rule;
	r->result = -EACCES;
	r->owner = BPF_CORE_READ(inode, i_uid.val);
	r->flags = rule == RULE_UNRESOLVED ? RECORD_UNRESOLVED : 0;
	report();
	return -EACCES;
}

#endif
