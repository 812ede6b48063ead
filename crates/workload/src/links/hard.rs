//! Files that rules block and that have further hard links: by those they can be reached, too.

use std::collections::BTreeSet;

use policy::PathObject;
use ruleset::{Glob, HardLinked, matches};
use rustix::fs::{FileType, Stat, major, minor};

use super::{Budget, multicall::Multicall, walk::is_of_kernel};
use crate::root::Root;

pub(super) struct Search<'a> {
    root: &'a Root,
    multicall: &'a Multicall,
    budget: Budget,
    pub(super) found: BTreeSet<HardLinked>,
    pub(super) exhausted: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(root: &'a Root, multicall: &'a Multicall, budget: Budget) -> Self {
        Self { root, multicall, budget, found: BTreeSet::new(), exhausted: false }
    }

    /// Looks for what the object of a rule means, links aside.
    pub(super) fn object(&mut self, object: &PathObject) {
        match object {
            PathObject::Path(path) => self.file(path),
            PathObject::Directory { dir, .. } => self.below(dir, object),
            PathObject::Pattern(pattern) => {
                let prefix = Glob::parse(pattern).map(|glob| glob.literal_prefix());
                let prefix = prefix.unwrap_or_default();
                let directory = prefix.rsplit_once('/').map_or("", |(directory, _)| directory);
                self.below(&format!("{directory}/"), object);
            }
            // It is about names alone.
            PathObject::ExecName(_) => {}
        }
    }

    /// `directory` ends in a slash and is no link, nor is anything on the way: those have objects of their own.
    fn below(&mut self, directory: &str, object: &PathObject) {
        let mut pending = vec![directory.to_owned()];
        while let Some(directory) = pending.pop() {
            if is_of_kernel(&directory) || !self.budget.spend(1) {
                self.exhausted |= !is_of_kernel(&directory);
                continue;
            }
            for (name, kind) in self.root.entries(&directory).unwrap_or_default() {
                let path = format!("{directory}{name}");
                match kind {
                    FileType::Directory if leads_on(object, &path) => pending.push(path + "/"),
                    FileType::RegularFile if matches(object, path.as_bytes()) => self.file(&path),
                    _ => {}
                }
            }
        }
    }

    fn file(&mut self, path: &str) {
        if !self.budget.spend(1) {
            self.exhausted = true;
            return;
        }
        let Ok(stat) = self.root.stat(path) else { return };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::RegularFile || stat.st_nlink < 2 || self.multicall.is_one(&stat) {
            return;
        }
        // On an overlay a file may be told with the number of the layer's device, a directory with the kernel's own.
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let Ok(directory) = self.root.stat(&format!("{directory}/")) else { return };
        let device = kernel_device(&directory);
        self.found.insert(HardLinked { device, inode: stat.st_ino, path: path.to_owned() });
    }
}

/// The major number above the lowest twenty bits.
fn kernel_device(stat: &Stat) -> u32 {
    major(stat.st_dev) << 20 | (minor(stat.st_dev) & 0xf_ffff)
}

/// Whether something below a directory may be meant.
fn leads_on(object: &PathObject, directory: &str) -> bool {
    match object {
        PathObject::Directory { dir, recursive } => *recursive || dir.starts_with(directory),
        _ => true,
    }
}
