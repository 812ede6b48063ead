//! Hooks and functions that differ between kernels: which of our variants fits the running one, found in its type
//! information and not by its version.

use libbpf_rs::btf::{Btf, types::Func, types::FuncProto};

/// A group of programs that fits only if a hook is there with so many parameters.
const VARIANTS: [(&str, &str, usize); 7] = [
    ("times", "bpf_lsm_inode_setattr", 3),
    ("times_plain", "bpf_lsm_inode_setattr", 2),
    // Before these hooks, access control lists went through those for extended attributes.
    ("acl", "bpf_lsm_inode_set_acl", 4),
    // Before these, an open file was truncated by its path, and attributes were set by requests alone.
    ("truncate", "bpf_lsm_file_truncate", 1),
    ("attributes", "bpf_lsm_inode_file_setattr", 2),
    ("own_links", "bpf_lsm_bpf", 4),
    ("own_links_plain", "bpf_lsm_bpf", 3),
];

/// Functions that changed their name: the program behind them, the name it is written for, the later one.
const RENAMED: [(&str, &str, &str); 1] = [("after_open", "do_filp_open", "do_file_open")];

/// Whether a group is meant for this kernel.
pub(crate) fn fits(kernel: &Btf<'_>, group: &str) -> bool {
    VARIANTS
        .iter()
        .find(|(name, _, _)| *name == group)
        .is_none_or(|(_, hook, parameters)| parameter_count(kernel, hook) == Some(*parameters))
}

fn parameter_count(kernel: &Btf<'_>, function: &str) -> Option<usize> {
    let function: Func<'_> = kernel.type_by_name(function)?;
    let prototype = function.next_type()?;
    FuncProto::try_from(prototype).ok().map(|prototype| prototype.iter().count())
}

/// The function that a program is to be attached to, where that is not the one it is written for.
pub(crate) fn target(kernel: &Btf<'_>, program: &str) -> Option<&'static str> {
    let (_, before, now) = RENAMED.iter().find(|(renamed, _, _)| *renamed == program)?;
    let has = |name: &str| kernel.type_by_name::<Func<'_>>(name).is_some();
    (!has(before) && has(now)).then_some(*now)
}
