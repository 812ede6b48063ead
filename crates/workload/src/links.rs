//! What the symbolic links of one root filesystem mean for rules, and which programs in it are many programs in one.
//!
//! The law is section 4 of the semantics: a rule whose path, or a parent of it, is a link covers what the link leads
//! to; where that is a multi-call binary, a process rule covers the one applet. What that is for each object:
//!
//! - A path: what it leads to.
//! - A directory: the directory it leads to. Links within are entries like others: their targets are not covered, but
//!   a process rule covers the applets that they stand for.
//! - A pattern, `Allow` no less than `Block`: the file that a matching link leads to, and for a link to a directory on
//!   the way what the rest of the pattern says of that directory. For this the places are read that can match, as far
//!   as the [`Budget`] goes; what was found until then counts. Where stars alone name them (`/etc/*`, `/etc/**`), links
//!   are entries as in a directory: only applets are covered.
//!
//! A second hard link of a multi-call binary is an applet like a symbolic link to it, except that the path itself
//! stays covered whole.

use std::{collections::BTreeSet, time::Instant};

use policy::PathObject;
use ruleset::{HardLinked, Links, WantedLinks};
use tracing::warn;

use self::{
    hard::Search,
    multicall::Multicall,
    pattern::{Pattern, escape},
    walk::Walk,
};
use crate::root::Root;

mod hard;
mod multicall;
mod pattern;
mod walk;

/// How much is read of one root for directories and patterns.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Directory entries, all rules together.
    pub entries: usize,
    /// A filesystem may be slow, and some links are better than none.
    pub until: Option<Instant>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { entries: 1 << 16, until: None }
    }
}

/// Reads `root` for all that `wanted` asks. Never fails: what cannot be read has no links.
pub fn resolve_links(root: &Root, wanted: &WantedLinks) -> Links {
    resolve_links_within(root, wanted, Budget::default())
}

/// As [`resolve_links`], with a limit of one's own.
pub fn resolve_links_within(root: &Root, wanted: &WantedLinks, budget: Budget) -> Links {
    let multicall = Multicall::of(root);
    let mut resolver = Resolver { root, multicall, budget, exhausted: false };
    let mut links = Links::default();
    // Paths come first: they cost little, and may reveal a multi-call binary that directories and patterns look for.
    for source in &wanted.sources {
        let covered = resolver.path(source);
        if !covered.is_empty() {
            links.sources.insert(source.clone(), covered);
        }
    }
    let mut objects: Vec<_> = wanted.processes.union(&wanted.files).collect();
    objects.sort_by_key(|object| effort(object));
    for object in objects {
        let covered = resolver.object(object, wanted.processes.contains(object));
        if !covered.is_empty() {
            links.objects.insert(object.clone(), covered);
        }
    }
    if resolver.exhausted {
        warn!("patterns match in too many places; they cover the links that were found until then");
    }
    let multicall = resolver.multicall;
    links.hard_linked = hard_linked(root, wanted, &links, &multicall, budget);
    links.multicall = multicall.into_binaries();
    links
}

/// What rules block and can be reached by further hard links.
fn hard_linked(
    root: &Root,
    wanted: &WantedLinks,
    links: &Links,
    multicall: &Multicall,
    budget: Budget,
) -> BTreeSet<HardLinked> {
    let mut search = Search::new(root, multicall, budget);
    let mut objects: Vec<_> = wanted.blocked.iter().collect();
    objects.extend(wanted.blocked.iter().filter_map(|object| links.objects.get(object)).flatten());
    objects.sort_by_key(|object| effort(object));
    for object in objects {
        search.object(object);
    }
    if search.exhausted {
        warn!(
            "rules block too many files to look at each; some may be reached by further hard links"
        );
    }
    search.found
}

/// What needs little is not to go without because of what needs much.
fn effort(object: &PathObject) -> u8 {
    match object {
        PathObject::Path(_) | PathObject::ExecName(_) => 0,
        PathObject::Directory { .. } => 1,
        PathObject::Pattern(pattern) if !pattern.contains("**") => 2,
        PathObject::Pattern(_) => 3,
    }
}

impl Budget {
    /// False if that is too much.
    fn spend(&mut self, entries: usize) -> bool {
        let left = self.entries.checked_sub(entries);
        self.entries = left.unwrap_or(0);
        left.is_some() && self.until.is_none_or(|until| Instant::now() < until)
    }
}

struct Resolver<'a> {
    root: &'a Root,
    multicall: Multicall,
    budget: Budget,
    exhausted: bool,
}

impl Resolver<'_> {
    /// False if that is too much.
    fn spend(&mut self, entries: usize) -> bool {
        self.exhausted |= !self.budget.spend(entries);
        !self.exhausted
    }

    /// `programs`: a process rule names the object, so the applets within it matter.
    fn object(&mut self, object: &PathObject, programs: bool) -> BTreeSet<PathObject> {
        match object {
            PathObject::Path(path) => self.path(path).into_iter().map(PathObject::Path).collect(),
            PathObject::Directory { dir, recursive } => {
                let mut covered = BTreeSet::new();
                let outside = |binary: &String| !ruleset::matches(object, binary.as_bytes());
                if programs && self.multicall.binaries().any(outside) {
                    let entries = if *recursive { "**" } else { "*" };
                    covered = self.walk(object, &format!("{}{entries}", escape(dir)), programs);
                }
                if let Some(dir) = self.directory(dir) {
                    covered.insert(PathObject::Directory { dir, recursive: *recursive });
                }
                covered
            }
            PathObject::Pattern(pattern) => self.walk(object, pattern, programs),
            PathObject::ExecName(_) => BTreeSet::new(),
        }
    }

    fn walk(&mut self, object: &PathObject, pattern: &str, programs: bool) -> BTreeSet<PathObject> {
        match Pattern::parse(pattern) {
            Some(pattern) => Walk::new(self, object, &pattern, programs).run(),
            None => BTreeSet::new(),
        }
    }

    /// Further subjects that the path covers, applets as `binary//applet`.
    fn path(&mut self, path: &str) -> BTreeSet<String> {
        let Some(found) = self.root.resolve(path) else { return BTreeSet::new() };
        let mut covered = BTreeSet::from([found.place.clone()]);
        if let Some(binary) = self.multicall.hard_link(self.root, &found) {
            covered.extend(applets(binary, &found.links));
            covered.insert(format!("{binary}//{}", name(&found.path)));
        }
        if !found.links.is_empty() && self.multicall.contains(self.root, &found) {
            covered.extend(applets(&found.path, &found.links));
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
}

/// What the names make of a multi-call binary.
fn applets<'n>(binary: &'n str, names: &'n [String]) -> impl Iterator<Item = String> + 'n {
    let applet = |name: &&String| *name != self::name(binary);
    names.iter().filter(applet).map(move |name| format!("{binary}//{name}"))
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests;
