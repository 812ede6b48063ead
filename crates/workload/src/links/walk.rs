//! The walk for one rule: the links of a root filesystem that its pattern or directory meets.

use std::collections::{BTreeSet, VecDeque};

use policy::PathObject;
use ruleset::Glob;
use rustix::fs::FileType;

use super::{
    Resolver, name,
    pattern::{Pattern, Positions, escape},
};
use crate::root::Resolved;

/// Following a link takes about as long as reading so many entries.
const LINK_COST: usize = 8;

pub(super) struct Walk<'w, 'r> {
    resolver: &'w mut Resolver<'r>,
    object: &'w PathObject,
    pattern: &'w Pattern,
    /// A process rule names the object, so the applets in it matter.
    programs: bool,
    /// Links lead on: their targets are covered, and what the pattern says of places below them. Not so where stars
    /// alone name them: `/etc/**` means the content of a directory, as a rule on the directory does.
    follows: bool,
    /// What is still to be looked at. First in, first out: what lies less deep comes first.
    pending: VecDeque<Stop>,
    seen: BTreeSet<Stop>,
    covered: BTreeSet<PathObject>,
    has_listed: bool,
}

/// A directory by its canonical name without a slash at the end, and what may come below it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Stop {
    directory: String,
    positions: Positions,
}

impl<'w, 'r> Walk<'w, 'r> {
    pub(super) fn new(
        resolver: &'w mut Resolver<'r>,
        object: &'w PathObject,
        pattern: &'w Pattern,
        programs: bool,
    ) -> Self {
        let follows = matches!(object, PathObject::Pattern(_));
        let (pending, seen, covered) = (VecDeque::new(), BTreeSet::new(), BTreeSet::new());
        let has_listed = false;
        Self { resolver, object, pattern, programs, follows, pending, seen, covered, has_listed }
    }

    /// Further objects that the rule covers.
    pub(super) fn run(mut self) -> BTreeSet<PathObject> {
        self.later(String::new(), self.pattern.begun("/"));
        while let Some(stop) = self.pending.pop_front() {
            // What is said without looking around is covered however little may be read.
            match self.certain_ways(&stop) {
                Some(ways) if !self.has_listed || self.resolver.spend(LINK_COST) => {
                    for way in ways {
                        self.go(&stop.directory, way);
                    }
                }
                None if self.resolver.spend(1) => self.list(&stop),
                _ => {}
            }
        }
        self.without_repetition()
    }

    /// Leaves out the paths that the rule covers in other ways. What matches a multi-call binary covers all its applets.
    fn without_repetition(self) -> BTreeSet<PathObject> {
        let pattern = |object: &PathObject| match object {
            PathObject::Pattern(pattern) => Glob::parse(pattern).ok(),
            _ => None,
        };
        let patterns: Vec<Glob> = self.covered.iter().filter_map(pattern).collect();
        let is_matched = |path: &[u8]| {
            ruleset::matches(self.object, path) || patterns.iter().any(|glob| glob.matches(path))
        };
        let is_new = |object: &PathObject| match object {
            PathObject::Path(path) => {
                let binary = path.find("//").map_or(path.as_str(), |at| &path[..at]);
                !is_matched(binary.as_bytes())
            }
            _ => true,
        };
        self.covered.into_iter().filter(is_new).collect()
    }

    fn later(&mut self, directory: String, positions: Positions) {
        let stop = Stop { directory, positions };
        if !stop.positions.is_empty() && self.seen.insert(stop.clone()) {
            self.pending.push_back(stop);
        }
    }

    /// Names that need not be looked for, if all that may come below has such.
    fn certain_ways(&self, stop: &Stop) -> Option<Vec<Way>> {
        let way = |&position: &usize| {
            let whole = self.pattern.literal(position).map(Way::Path);
            whole.or_else(|| self.pattern.directories(position).map(Way::Directories))
        };
        stop.positions.iter().map(way).collect()
    }

    fn go(&mut self, directory: &str, way: Way) {
        match way {
            Way::Path(path) if is_path(&path) => {
                let covered = self.resolver.path(&format!("{directory}/{path}"));
                self.covered.extend(covered.into_iter().map(PathObject::Path));
            }
            Way::Path(_) => {}
            Way::Directories((directories, position)) => {
                let named = format!("{directory}/{directories}");
                let Some(found) = self.resolver.root.resolve(&named) else { return };
                let directory = found.path.trim_end_matches('/');
                if directory == named {
                    self.later(named, Positions::from([position]));
                } else {
                    self.enter(directory, &Positions::from([position]));
                }
            }
        }
    }

    /// Goes on behind a link to a directory, where other names mean what the rule says.
    fn enter(&mut self, directory: &str, positions: &Positions) {
        let met_anyway = self.pattern.begun(&format!("{directory}/"));
        let further: Positions = positions.difference(&met_anyway).copied().collect();
        if self.follows {
            let below = |&position: &usize| self.below(directory, position);
            let below: Vec<_> = further.iter().filter_map(below).collect();
            self.covered.extend(below);
        }
        if !is_of_kernel(directory) {
            self.later(directory.to_owned(), further);
        }
    }

    /// What the pattern, come so far, says of a directory.
    fn below(&self, directory: &str, position: usize) -> Option<PathObject> {
        if let Some(path) = self.pattern.literal(position) {
            return is_path(&path).then(|| PathObject::Path(format!("{directory}/{path}")));
        }
        let rest = self.pattern.rest(position);
        Some(PathObject::Pattern(format!("{}/{rest}", escape(directory))))
    }

    fn list(&mut self, stop: &Stop) {
        self.has_listed = true;
        let Stop { directory, positions } = stop;
        let follows = self.follows && !self.pattern.is_content(positions);
        let Ok(entries) = self.resolver.root.entries(&format!("{directory}/")) else { return };
        for (entry, kind) in entries {
            if !self.resolver.spend(1) {
                return;
            }
            // Most entries are files, and those matter only as second names of multi-call binaries.
            let matters = match kind {
                FileType::Symlink | FileType::Directory => true,
                FileType::RegularFile => self.programs && self.resolver.multicall.is_hard_linked(),
                _ => false,
            };
            if !matters {
                continue;
            }
            let at = self.pattern.after(positions, &entry);
            self.meet(kind, format!("{directory}/{entry}"), &at, follows);
        }
    }

    fn meet(&mut self, kind: FileType, place: String, at: &Positions, follows: bool) {
        match kind {
            FileType::Symlink if !at.is_empty() => self.link(&place, at, follows),
            FileType::Directory if !is_kernel_directory(&place) => {
                self.later(place, self.pattern.after(at, "/"));
            }
            FileType::RegularFile if self.pattern.may_end(at) => self.file(&place),
            _ => {}
        }
    }

    fn link(&mut self, place: &str, at: &Positions, follows: bool) {
        let below = self.pattern.after(at, "/");
        let is_matched = self.pattern.may_end(at);
        if !(is_matched || follows && !below.is_empty()) || !self.resolver.spend(LINK_COST) {
            return;
        }
        let Some(found) = self.resolver.root.resolve(place) else { return };
        // What the kernel makes up there differs by who asks.
        if found.path.starts_with("/proc/") {
            return;
        }
        if is_matched && found.file {
            self.target(&found, follows);
        }
        if follows && found.directory {
            self.enter(found.path.trim_end_matches('/'), &below);
        }
    }

    fn target(&mut self, found: &Resolved, follows: bool) {
        if self.resolver.multicall.contains(self.resolver.root, found) {
            self.applets(&found.path, &found.links);
            return;
        }
        self.hard_link(found);
        if follows {
            self.covered.insert(PathObject::Path(found.path.clone()));
        }
    }

    fn file(&mut self, place: &str) {
        if let Some(found) = self.resolver.root.resolve(place) {
            self.hard_link(&found);
        }
    }

    fn hard_link(&mut self, found: &Resolved) {
        let multicall = &self.resolver.multicall;
        if let Some(binary) = multicall.hard_link(self.resolver.root, found).cloned() {
            self.applets(&binary, &found.links);
            self.applets(&binary, &[name(&found.path).to_owned()]);
        }
    }

    fn applets(&mut self, binary: &str, names: &[String]) {
        if self.programs {
            let applets = super::applets(binary, names);
            self.covered.extend(applets.map(PathObject::Path));
        }
    }
}

/// What comes next below a directory, whatever is there.
enum Way {
    /// The path ends so.
    Path(String),
    /// Directories, and the position behind them.
    Directories((String, usize)),
}

/// What may follow a directory and its slash. A path does not end in a slash.
fn is_path(text: &str) -> bool {
    !text.is_empty() && !text.ends_with('/')
}

/// Filesystems of the kernel hold no programs, and reading them is not free. Only a pattern that names one goes there.
fn is_kernel_directory(path: &str) -> bool {
    matches!(path, "/proc" | "/sys" | "/dev")
}

pub(super) fn is_of_kernel(path: &str) -> bool {
    is_kernel_directory(path) || ["/proc/", "/sys/", "/dev/"].iter().any(|it| path.starts_with(it))
}
