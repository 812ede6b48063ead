//! System calls by name and by number, for each architecture that the product runs on.

mod ia32;
mod table;

use table::TABLE;

/// An architecture has its own numbers, and does not have every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    X86_64,
    Aarch64,
}

impl Architecture {
    /// The one this program was built for; `None` on others than the supported.
    pub fn native() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Aarch64),
            _ => None,
        }
    }
}

struct Row {
    name: &'static str,
    x86_64: Option<u16>,
    aarch64: Option<u16>,
}

impl Row {
    fn number(&self, architecture: Architecture) -> Option<u16> {
        match architecture {
            Architecture::X86_64 => self.x86_64,
            Architecture::Aarch64 => self.aarch64,
        }
    }
}

/// All names of all architectures, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.name)
}

/// The kernel's name of a call that a policy names in any letter case; `None` if no architecture
/// has it. `umount` is the library's name of `umount2`.
pub fn canonical(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    row(if lower == "umount" { "umount2" } else { &lower }).map(|row| row.name)
}

/// The place of a name among [`names`]: its number on every architecture.
pub fn index(name: &str) -> Option<u16> {
    let index = TABLE.binary_search_by(|row| row.name.cmp(name)).ok()?;
    u16::try_from(index).ok()
}

/// The name at a place among [`names`].
pub fn at(index: u16) -> Option<&'static str> {
    TABLE.get(usize::from(index)).map(|row| row.name)
}

/// The number of a call by its kernel name; `None` where the architecture lacks it.
pub fn number(name: &str, architecture: Architecture) -> Option<u16> {
    row(name)?.number(architecture)
}

/// From here on a new call has one number on all architectures, 32-bit ones included.
const COMMON: u16 = 424;

/// The numbers that 32-bit programs use on an architecture, with the names of the calls that rules know.
///
/// `socketcall` and `ipc` of x86 stand for many calls, told apart by their first argument: those are numbered from 512
/// and from 544 on.
pub fn compat_numbers(architecture: Architecture) -> Vec<(u16, &'static str)> {
    match architecture {
        Architecture::X86_64 => {
            let common = TABLE.iter().filter_map(|row| Some((row.x86_64?, row.name)));
            let common = common.filter(|(number, _)| *number >= COMMON);
            ia32::CALLS.iter().copied().chain(common).collect()
        }
        Architecture::Aarch64 => Vec::new(),
    }
}

/// The kernel's name of a number.
pub fn name(number: u16, architecture: Architecture) -> Option<&'static str> {
    TABLE.iter().find(|row| row.number(architecture) == Some(number)).map(|row| row.name)
}

fn row(name: &str) -> Option<&'static Row> {
    TABLE.binary_search_by(|row| row.name.cmp(name)).ok().and_then(|index| TABLE.get(index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn numbers_of_both_architectures() {
        assert_eq!(number("openat", Architecture::X86_64), Some(257));
        assert_eq!(number("openat", Architecture::Aarch64), Some(56));
        assert_eq!(number("unlink", Architecture::X86_64), Some(87));
        assert_eq!(number("unlink", Architecture::Aarch64), None);
        for (late, expected) in [("clone3", 435), ("openat2", 437), ("io_uring_setup", 425)] {
            assert_eq!(number(late, Architecture::X86_64), Some(expected));
            assert_eq!(number(late, Architecture::Aarch64), Some(expected));
        }
    }

    #[test]
    fn programs_of_32_bits_have_other_numbers() {
        let calls = compat_numbers(Architecture::X86_64);
        let named = |number| {
            let names: Vec<_> = calls.iter().filter(|(n, _)| *n == number).map(|c| c.1).collect();
            names.first().copied()
        };
        assert_eq!(named(10), Some("unlink"));
        assert_eq!(named(212), Some("chown"));
        assert_eq!(named(437), Some("openat2"));
        assert_eq!(named(512 + 3), Some("connect"));
        assert_eq!(named(544 + 21), Some("shmat"));
        assert!(calls.iter().all(|(_, name)| index(name).is_some()));
        let conflict = |(number, name): &&(u16, &str)| named(*number) != Some(*name);
        assert_eq!(calls.iter().find(conflict), None);
    }

    #[test]
    fn names_in_any_case() {
        assert_eq!(canonical("UnlinkAt"), Some("unlinkat"));
        assert_eq!(canonical("umount"), Some("umount2"));
        assert_eq!(canonical("unlnik"), None);
        assert_eq!(name(135, Architecture::X86_64), Some("personality"));
    }

    #[test]
    fn the_table_is_sorted_and_no_number_is_used_twice() {
        assert!(TABLE.is_sorted_by(|a, b| a.name < b.name));
        for architecture in [Architecture::X86_64, Architecture::Aarch64] {
            let numbers: Vec<u16> = TABLE.iter().filter_map(|r| r.number(architecture)).collect();
            assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), numbers.len());
        }
    }
}
