//! Which system calls show their path.

use std::collections::BTreeSet;

/// Calls whose path the kernel shows to a hook, as an object and not as the caller's text. Sorted.
const SHOWS_PATH: [&str; 41] = [
    "acct",
    "chmod",
    "chown",
    "chroot",
    "creat",
    "execve",
    "execveat",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "fstat",
    "inotify_add_watch",
    "lchown",
    "link",
    "linkat",
    "lstat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "mount",
    "newfstatat",
    "open",
    "open_by_handle_at",
    "openat",
    "openat2",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "stat",
    "statx",
    "swapon",
    "symlink",
    "symlinkat",
    "truncate",
    "umount2",
    "unlink",
    "unlinkat",
];

/// Why a rule on paths does not hold for some of its calls, if there are such.
pub fn unseen_paths<'c>(calls: impl IntoIterator<Item = &'c String>) -> Option<String> {
    let unseen: BTreeSet<&str> =
        calls.into_iter().map(String::as_str).filter(|call| !shows_path(call)).collect();
    let unseen: Vec<&str> = unseen.into_iter().collect();
    (!unseen.is_empty()).then(|| {
        format!(
            "no hook shows the path of {}; `matchSyscalls` audits the call on any path",
            unseen.join(", ")
        )
    })
}

pub(crate) fn shows_path(call: &str) -> bool {
    SHOWS_PATH.binary_search(&call).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_of_known_calls() {
        assert!(SHOWS_PATH.is_sorted());
        for call in SHOWS_PATH {
            assert_eq!(policy::syscall::canonical(call), Some(call));
        }
    }
}
