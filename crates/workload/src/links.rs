//! What the symbolic links of one root filesystem mean for rules, and which programs in it are many programs in one.
//!
//! The law is section 4 of the semantics: a rule whose path, or a parent of it, is a link covers what the link leads
//! to; where that is a multi-call binary, a process rule covers the one applet.

use std::collections::{BTreeMap, BTreeSet};

use policy::PathObject;
use ruleset::{Links, WantedLinks};
use rustix::fs::FileType;

use crate::root::{Resolved, Root};

/// Programs that are many in one, by name.
const MULTICALL_NAMES: [&str; 4] = ["busybox", "busybox.static", "toybox", "coreutils"];
/// Where they are found without anybody naming them.
const MULTICALL_DIRECTORIES: [&str; 6] =
    ["/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin", "/usr/lib/cargo/bin/coreutils"];

/// A program with other names is taken for a multi-call one if at least this many differently named links in one
/// directory lead to it. Version links (`python3`), `alternatives` and families such as `kmod`'s stay below.
const MANY_LINKS: usize = 16;

/// No rule makes the agent look at more directory entries than this in one root.
const MOST_ENTRIES: usize = 1 << 16;

/// Reads `root` for all that `wanted` asks. Never fails: what cannot be read has no links.
pub fn resolve_links(root: &Root, wanted: &WantedLinks) -> Links {
    let mut resolver = Resolver {
        root,
        multicall: BTreeSet::new(),
        judged: BTreeMap::new(),
        entries_left: MOST_ENTRIES,
    };
    resolver.find_known();
    let mut links = Links::default();
    // Paths come first: they may reveal a multi-call binary that directories and patterns then look for.
    let wanted_objects: BTreeSet<_> = wanted.processes.union(&wanted.files).collect();
    let (paths, others): (Vec<_>, Vec<_>) =
        wanted_objects.into_iter().partition(|object| matches!(object, PathObject::Path(_)));
    for object in paths.into_iter().chain(others) {
        let covered = resolver.object(object, wanted.processes.contains(object));
        if !covered.is_empty() {
            links.objects.insert(object.clone(), covered);
        }
    }
    for source in &wanted.sources {
        let covered = resolver.path(source);
        if !covered.is_empty() {
            links.sources.insert(source.clone(), covered);
        }
    }
    links.multicall = resolver.multicall;
    links
}

struct Resolver<'a> {
    root: &'a Root,
    /// Canonical paths.
    multicall: BTreeSet<String>,
    /// Canonical path of a file to whether it is a multi-call binary, so that each is judged once.
    judged: BTreeMap<String, bool>,
    entries_left: usize,
}

impl Resolver<'_> {
    fn find_known(&mut self) {
        for directory in MULTICALL_DIRECTORIES {
            for name in MULTICALL_NAMES {
                let found = self.root.resolve(&format!("{directory}/{name}"));
                if let Some(found) = found.filter(|found| found.file) {
                    self.is_multicall(&found);
                }
            }
        }
    }

    /// `programs`: a process rule names the object, so the applets within it matter.
    fn object(&mut self, object: &PathObject, programs: bool) -> BTreeSet<PathObject> {
        match object {
            PathObject::Path(path) => self.path(path).into_iter().map(PathObject::Path).collect(),
            PathObject::Directory { dir, recursive } => {
                let mut covered = BTreeSet::new();
                if programs {
                    covered = self.applets_within(object, dir, *recursive);
                }
                if let Some(dir) = self.directory(dir) {
                    covered.insert(PathObject::Directory { dir, recursive: *recursive });
                }
                covered
            }
            PathObject::Pattern(pattern) => self.pattern(object, pattern, programs),
            PathObject::ExecName(_) => BTreeSet::new(),
        }
    }

    /// Further subjects that the path covers, applets as `binary//applet`.
    fn path(&mut self, path: &str) -> BTreeSet<String> {
        let Some(found) = self.root.resolve(path) else { return BTreeSet::new() };
        let mut covered = BTreeSet::from([found.place.clone()]);
        if let Some(binary) = self.hard_linked_multicall(&found) {
            covered.insert(format!("{binary}//{}", name(&found.path)));
        }
        if !found.links.is_empty() && self.is_multicall(&found) {
            covered.extend(applets(&found));
        } else {
            covered.insert(found.path);
        }
        covered.remove(path);
        covered
    }

    /// The canonical name of a linked directory, ending in `/`.
    fn directory(&self, dir: &str) -> Option<String> {
        let mut path = self.root.resolve(dir)?.path;
        if !path.ends_with('/') {
            path.push('/');
        }
        (path != dir).then_some(path)
    }

    fn pattern(
        &mut self,
        object: &PathObject,
        pattern: &str,
        programs: bool,
    ) -> BTreeSet<PathObject> {
        let prefix = ruleset::literal_prefix(pattern);
        let Some((dir, _)) = prefix.rsplit_once('/') else { return BTreeSet::new() };
        let dir = format!("{dir}/");
        let rest = &pattern[written_length(pattern, dir.len())..];
        // `*` does not cross a directory, `**` does.
        let deep = rest.contains("**") || rest.contains('/');
        let mut covered = BTreeSet::new();
        if programs {
            covered = self.applets_within(object, &dir, deep);
        }
        if let Some(canonical) = self.directory(&dir) {
            covered.insert(PathObject::Pattern(format!("{}{rest}", escape(&canonical))));
        }
        covered
    }

    /// Applets whose links lie below `dir` and match `object`, for multi-call binaries that the rule does not match
    /// itself.
    fn applets_within(
        &mut self,
        object: &PathObject,
        dir: &str,
        recursive: bool,
    ) -> BTreeSet<PathObject> {
        let mut covered = BTreeSet::new();
        let outside = |binary: &String| !ruleset::matches(object, binary.as_bytes());
        if !self.multicall.iter().any(outside) {
            return covered;
        }
        let Some(start) = self.root.resolve(dir) else { return covered };
        // A link is matched by the name under which the rule sees it, and read by its canonical one.
        let mut pending = vec![(start.path, dir.trim_end_matches('/').to_owned())];
        while let Some((directory, named)) = pending.pop() {
            let Ok(entries) = self.root.entries(&directory) else { continue };
            let directory = directory.trim_end_matches('/');
            for (entry, kind) in entries {
                if self.entries_left == 0 {
                    return covered;
                }
                self.entries_left -= 1;
                let named = format!("{named}/{entry}");
                match kind {
                    FileType::Symlink if ruleset::matches(object, named.as_bytes()) => {
                        let found = self.root.resolve(&format!("{directory}/{entry}"));
                        if let Some(found) = found.filter(|found| self.is_multicall(found)) {
                            covered.extend(applets(&found).map(PathObject::Path));
                        }
                    }
                    FileType::Directory if recursive && !is_kernel_directory(&named) => {
                        pending.push((format!("{directory}/{entry}"), named));
                    }
                    _ => {}
                }
            }
        }
        covered
    }

    fn is_multicall(&mut self, found: &Resolved) -> bool {
        if !found.file {
            return false;
        }
        if let Some(&known) = self.judged.get(&found.path) {
            return known;
        }
        let multicall = MULTICALL_NAMES.contains(&name(&found.path)) || self.has_many_links(found);
        self.judged.insert(found.path.clone(), multicall);
        if multicall {
            self.multicall.insert(found.path.clone());
        }
        multicall
    }

    /// Counts links beside the one that was followed, as that is where an installer puts them.
    fn has_many_links(&self, found: &Resolved) -> bool {
        let Some((directory, _)) = found.place.rsplit_once('/') else { return false };
        let Ok(entries) = self.root.entries(&format!("{directory}/")) else { return false };
        let own = name(&found.path);
        entries
            .into_iter()
            .filter(|(entry, kind)| *kind == FileType::Symlink && entry != own)
            .map(|(entry, _)| format!("{directory}/{entry}"))
            // Reading a link is cheap, following it is not, and a directory may hold a thousand.
            .filter(|link| self.root.target(link).is_some_and(|target| name(&target) == own))
            .filter_map(|link| self.root.resolve(&link))
            .filter(|other| other.path == found.path)
            .take(MANY_LINKS)
            .count()
            == MANY_LINKS
    }

    /// The multi-call binary that `found` is a second hard link of.
    fn hard_linked_multicall(&self, found: &Resolved) -> Option<&String> {
        if !found.file || self.multicall.contains(&found.path) {
            return None;
        }
        let own = self.root.stat(&found.path).ok().filter(|own| own.st_nlink > 1)?;
        self.multicall.iter().find(|binary| {
            self.root
                .stat(binary)
                .is_ok_and(|other| (other.st_dev, other.st_ino) == (own.st_dev, own.st_ino))
        })
    }
}

fn applets(found: &Resolved) -> impl Iterator<Item = String> {
    let binary = name(&found.path);
    found
        .links
        .iter()
        .filter(move |link| *link != binary)
        .map(|link| format!("{}//{link}", found.path))
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Filesystems of the kernel hold no programs, and reading them is not free.
fn is_kernel_directory(path: &str) -> bool {
    matches!(path, "/proc" | "/sys" | "/dev")
}

/// How many bytes of `pattern` stand for its first `literal` bytes, which may be written with escapes.
fn written_length(pattern: &str, literal: usize) -> usize {
    let mut meant = 0;
    let mut bytes = pattern.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        if meant == literal {
            return at;
        }
        if byte == b'\\' {
            bytes.next();
        }
        meant += 1;
    }
    pattern.len()
}

/// A pattern that means exactly `path`.
fn escape(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for character in path.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '{' | '}' | '\\' | '^' | ',') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests;
