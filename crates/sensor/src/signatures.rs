//! Hooks whose parameters differ between kernels: which of our variants fits the running one, found in its type
//! information and not by its version.

use libbpf_rs::btf::{Btf, types::Func, types::FuncProto};

/// An object that fits only if a hook is there with so many parameters.
const VARIANTS: [(&str, &str, usize); 3] = [
    ("times", "bpf_lsm_inode_setattr", 3),
    ("times_plain", "bpf_lsm_inode_setattr", 2),
    // Before these hooks, access control lists went through those for extended attributes.
    ("acl", "bpf_lsm_inode_set_acl", 4),
];

/// Whether an object is meant for this kernel.
pub(crate) fn fits(kernel: &Btf<'_>, object: &str) -> bool {
    VARIANTS
        .iter()
        .find(|(name, _, _)| *name == object)
        .is_none_or(|(_, hook, parameters)| parameter_count(kernel, hook) == Some(*parameters))
}

fn parameter_count(kernel: &Btf<'_>, function: &str) -> Option<usize> {
    let function: Func<'_> = kernel.type_by_name(function)?;
    let prototype = function.next_type()?;
    FuncProto::try_from(prototype).ok().map(|prototype| prototype.iter().count())
}
