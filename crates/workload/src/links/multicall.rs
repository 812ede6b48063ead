//! Programs that are many in one, and which files of a root filesystem they are.

use std::collections::{BTreeMap, BTreeSet};

use rustix::fs::{FileType, Stat};

use super::name;
use crate::root::{Resolved, Root};

/// Their names.
const NAMES: [&str; 4] = ["busybox", "busybox.static", "toybox", "coreutils"];
/// Where they are found without anybody naming them.
const DIRECTORIES: [&str; 6] =
    ["/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin", "/usr/lib/cargo/bin/coreutils"];

/// A program with other names is taken for a multi-call one if at least this many differently named links in one
/// directory lead to it. Version links (`python3`), `alternatives` and families such as `kmod`'s stay below.
pub(super) const MANY_LINKS: usize = 16;

#[derive(Default)]
pub(super) struct Multicall {
    /// Canonical paths.
    binaries: BTreeSet<String>,
    /// Those with further hard links, by device and inode.
    hard_linked: BTreeMap<(u64, u64), String>,
    /// Canonical path of a file to whether it is a multi-call binary, so that each is judged once.
    judged: BTreeMap<String, bool>,
    /// The links of a directory that was looked at, by the last component of what they say.
    neighbours: BTreeMap<String, BTreeMap<String, Neighbours>>,
}

struct Neighbours {
    links: Vec<String>,
    /// How many of the links lead to each path. Following them all is not cheap, so it is done once and when needed.
    targets: Option<BTreeMap<String, usize>>,
}

impl Multicall {
    /// Knows the usual ones already.
    pub(super) fn of(root: &Root) -> Self {
        let mut multicall = Self::default();
        for directory in DIRECTORIES {
            for name in NAMES {
                if let Some(found) = root.resolve(&format!("{directory}/{name}")) {
                    multicall.contains(root, &found);
                }
            }
        }
        multicall
    }

    pub(super) fn binaries(&self) -> impl Iterator<Item = &String> {
        self.binaries.iter()
    }

    pub(super) fn into_binaries(self) -> BTreeSet<String> {
        self.binaries
    }

    /// Whether the file is such a binary, which it is remembered as.
    pub(super) fn contains(&mut self, root: &Root, found: &Resolved) -> bool {
        if !found.file {
            return false;
        }
        if let Some(&known) = self.judged.get(&found.path) {
            return known;
        }
        let multicall = NAMES.contains(&name(&found.path)) || self.has_many_links(root, found);
        self.judged.insert(found.path.clone(), multicall);
        if multicall {
            self.binaries.insert(found.path.clone());
            if let Some(inode) = shared_inode(root, &found.path) {
                self.hard_linked.entry(inode).or_insert_with(|| found.path.clone());
            }
        }
        multicall
    }

    /// Whether this is one of them, by whichever of its hard links.
    pub(super) fn is_one(&self, stat: &Stat) -> bool {
        self.hard_linked.contains_key(&(stat.st_dev, stat.st_ino))
    }

    /// Whether looking for second hard links can find any.
    pub(super) fn is_hard_linked(&self) -> bool {
        !self.hard_linked.is_empty()
    }

    /// The multi-call binary that the file is a second hard link of.
    pub(super) fn hard_link(&self, root: &Root, found: &Resolved) -> Option<&String> {
        if !self.is_hard_linked() || !found.file || self.binaries.contains(&found.path) {
            return None;
        }
        self.hard_linked.get(&shared_inode(root, &found.path)?)
    }

    /// Counts links beside the one that was followed, as that is where an installer puts them.
    fn has_many_links(&mut self, root: &Root, found: &Resolved) -> bool {
        let Some((directory, _)) = found.place.rsplit_once('/') else { return false };
        if !self.neighbours.contains_key(directory) {
            self.neighbours.insert(directory.to_owned(), neighbours(root, directory));
        }
        let of_directory = self.neighbours.get_mut(directory);
        let Some(same) = of_directory.and_then(|all| all.get_mut(name(&found.path))) else {
            return false;
        };
        if same.links.len() < MANY_LINKS || !is_program(root, &found.path) {
            return false;
        }
        let targets = same.targets.get_or_insert_with(|| count_targets(root, &same.links));
        targets.get(&found.path).is_some_and(|&links| links >= MANY_LINKS)
    }
}

fn neighbours(root: &Root, directory: &str) -> BTreeMap<String, Neighbours> {
    let mut found = BTreeMap::new();
    let entries = root.entries(&format!("{directory}/")).unwrap_or_default();
    for (link, _) in entries.into_iter().filter(|(_, kind)| *kind == FileType::Symlink) {
        let path = format!("{directory}/{link}");
        let Some(target) = root.target(&path).filter(|target| name(target) != link) else {
            continue;
        };
        let same = found.entry(name(&target).to_owned());
        same.or_insert_with(|| Neighbours { links: Vec::new(), targets: None }).links.push(path);
    }
    found
}

fn count_targets(root: &Root, links: &[String]) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for target in links.iter().filter_map(|link| root.resolve(link)) {
        *count.entry(target.path).or_default() += 1;
    }
    count
}

/// Data may have many names too: time zones, certificates.
fn is_program(root: &Root, path: &str) -> bool {
    root.stat(path).is_ok_and(|stat| stat.st_mode & 0o111 != 0)
}

/// Device and inode of a file with more than one name.
fn shared_inode(root: &Root, path: &str) -> Option<(u64, u64)> {
    let stat = root.stat(path).ok().filter(|stat| stat.st_nlink > 1)?;
    Some((stat.st_dev, stat.st_ino))
}
