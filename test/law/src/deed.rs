//! One generated access: as the law is asked about it, and as a subject can do it.

use std::{
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use law::{APPLET, Call, Deed, Internet, OTHER_USER, Request};
use matcher::generate::{OwnedAccess, OwnedObject};
use proptest::{collection, prelude::*, sample};
use ruleset::{Class, FileOperation, RuleSet, Socket};

use crate::world::{SUBJECTS, World};

const APPLETS: [&str; 4] = ["a", "ab", "zz", "é"];
const ARGUMENTS: [&str; 5] = ["-a", "-b", "-ab", "", "other"];

/// What a subject is to do. Which access that is depends on the rules: they name the multi-call binaries.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// Of [`SUBJECTS`].
    pub(crate) subject: usize,
    pub(crate) terminal: bool,
    /// Whether what gets another's name finds nothing there.
    vacant: bool,
    pub(crate) request: Request,
}

/// Attempts of all kinds, each of which ends in `EACCES` only if a rule has it so, for capabilities in `EPERM`.
pub(crate) fn attempt(world: &World) -> impl Strategy<Value = Attempt> + use<> {
    let subjects = SUBJECTS.map(PathBuf::from);
    // A program that runs cannot be written, which the kernel finds before it asks us.
    let idle: Vec<PathBuf> =
        world.files.iter().filter(|path| !subjects.contains(path)).cloned().collect();
    let anything: Vec<PathBuf> = world.files.iter().chain(&world.directories).cloned().collect();
    let deed = prop_oneof![
        3 => sample::select(anything.clone()).prop_map(Deed::Read),
        1 => sample::select(idle.clone()).prop_map(Deed::Write),
        5 => rearrangement(idle, world.directories.clone()),
        1 => sample::select(anything.clone()).prop_map(Deed::Chmod),
        1 => sample::select(anything.clone()).prop_map(Deed::Chown),
        1 => sample::select(anything.clone()).prop_map(Deed::Setxattr),
        1 => sample::select(anything.clone()).prop_map(Deed::Utimes),
        1 => sample::select(anything).prop_map(Deed::Stat),
        3 => (sample::select(world.files.clone()), words())
            .prop_filter_map("its own name", execution),
        1 => socket(),
        1 => peer(),
        1 => sample::select(vec![Deed::SetHostname, Deed::Reboot]),
    ];
    let user = sample::select(vec![0, OTHER_USER]);
    (0..SUBJECTS.len(), any::<bool>(), any::<bool>(), user, deed).prop_map(
        |(subject, terminal, vacant, user, deed)| Attempt {
            subject,
            terminal,
            vacant,
            request: Request { user, deed },
        },
    )
}

/// Names that come and go. Those of programs that run stay: the law knows programs by their names.
fn rearrangement(idle: Vec<PathBuf>, directories: Vec<PathBuf>) -> impl Strategy<Value = Deed> {
    let below: Vec<PathBuf> =
        directories.into_iter().filter(|path| path.parent().is_some()).collect();
    let two = sample::subsequence(idle.clone(), 2).prop_shuffle().prop_map(|mut two| {
        let new = two.pop().unwrap_or_default();
        (two.pop().unwrap_or_default(), new)
    });
    prop_oneof![
        1 => sample::select(idle.clone()).prop_map(Deed::Unlink),
        1 => sample::select(below).prop_map(Deed::Rmdir),
        1 => sample::select(idle.clone()).prop_map(Deed::Mkdir),
        1 => sample::select(idle.clone()).prop_map(Deed::Mknod),
        1 => sample::select(idle).prop_map(Deed::Truncate),
        1 => two.clone().prop_map(|(old, new)| Deed::Rename(old, new)),
        1 => two.prop_map(|(old, new)| Deed::Link(old, new)),
    ]
}

fn peer() -> impl Strategy<Value = Deed> {
    (sample::select(Call::ALL.to_vec()), any::<bool>(), any::<bool>())
        .prop_map(|(call, six, stream)| Deed::Peer(call, Internet { six, stream }))
}

fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let argument = sample::select(ARGUMENTS.to_vec()).prop_map(|word| word.as_bytes().to_vec());
    let name = sample::select(APPLETS.to_vec()).prop_map(|word| word.as_bytes().to_vec());
    (name, collection::vec(argument, 0..4)).prop_map(|(name, mut rest)| {
        rest.insert(0, name);
        rest
    })
}

/// A multi-call binary under its own name takes the applet from its arguments; that has tests of its own.
fn execution((path, words): (PathBuf, Vec<Vec<u8>>)) -> Option<Deed> {
    let own = path.file_name().is_some_and(|name| name.as_bytes() == words[0]);
    (!own).then_some(Deed::Execute(path, words))
}

/// Sockets of types that exist: of others the kernel speaks before it asks us.
fn socket() -> impl Strategy<Value = Deed> {
    let family = sample::select(vec![1, 2, 10, 16, 17]);
    let kind = sample::select(vec![1, 2, 3, 5]);
    let protocol = sample::select(vec![0, 1, 6, 17, 58, 132, 136, 262, 300]);
    (family, kind, protocol).prop_map(|(family, kind, protocol)| Deed::Socket {
        family,
        kind,
        protocol,
    })
}

impl Attempt {
    /// The accesses that the attempt consists of, all files being user 0's. The first that is denied is the last.
    pub(crate) fn accesses(&self, set: &RuleSet) -> Vec<(Class, OwnedAccess)> {
        let file = |path: &Path, operation| {
            let path = path.as_os_str().as_bytes().to_vec();
            (Class::File, OwnedObject::File { path, operation })
        };
        let objects = match &self.request.deed {
            Deed::Read(path) => vec![file(path, FileOperation::Read)],
            Deed::Write(path)
            | Deed::Chmod(path)
            | Deed::Utimes(path)
            | Deed::Unlink(path)
            | Deed::Rmdir(path)
            | Deed::Mkdir(path)
            | Deed::Mknod(path)
            | Deed::Truncate(path)
            | Deed::Chown(path)
            | Deed::Setxattr(path) => vec![file(path, FileOperation::Change)],
            Deed::Rename(old, new) | Deed::Link(old, new) => {
                vec![file(old, FileOperation::Change), file(new, FileOperation::Change)]
            }
            Deed::Stat(path) => vec![file(path, FileOperation::Metadata)],
            // The kernel opens a program's file to read what it is to execute.
            Deed::Execute(path, words) => {
                let path_and_applet = Some(program(set, path, &words[0]));
                let args = words[1..].to_vec();
                let execute = OwnedObject::Execute { path: path_and_applet, args };
                vec![file(path, FileOperation::Read), (Class::Process, execute)]
            }
            &Deed::Socket { family, kind, protocol } => {
                vec![(Class::Network, OwnedObject::Socket(Socket { family, kind, protocol }))]
            }
            // Each is judged for itself: making the socket, then what is done with it.
            Deed::Peer(_, internet) => {
                let socket = |protocol| Socket { protocol, ..plain(*internet) };
                let effective = if internet.stream { 6 } else { 17 };
                [0, effective]
                    .map(|protocol| (Class::Network, OwnedObject::Socket(socket(protocol))))
                    .into()
            }
            Deed::SetHostname => vec![(Class::Capabilities, OwnedObject::Capability(21))],
            Deed::Reboot => vec![(Class::Capabilities, OwnedObject::Capability(22))],
        };
        let subject = program(set, Path::new(SUBJECTS[self.subject]), APPLET.as_bytes());
        objects
            .into_iter()
            .map(|(class, object)| {
                let access = OwnedAccess {
                    subject: Some(subject.clone()),
                    object,
                    terminal: self.terminal,
                    owner: self.request.user == 0,
                };
                (class, access)
            })
            .collect()
    }

    /// The old name and the new one of a file that gets another.
    pub(crate) fn moved(&self) -> Option<(&[u8], &[u8])> {
        match &self.request.deed {
            Deed::Rename(old, new) | Deed::Link(old, new) => {
                Some((old.as_os_str().as_bytes(), new.as_os_str().as_bytes()))
            }
            _ => None,
        }
    }

    /// A name that must be free for the attempt.
    pub(crate) fn vacated(&self) -> Option<&Path> {
        match &self.request.deed {
            Deed::Mkdir(path) | Deed::Mknod(path) | Deed::Link(_, path) => Some(path),
            Deed::Rename(_, path) if self.vacant => Some(path),
            _ => None,
        }
    }

    /// Names behind which there may be something else after the attempt.
    pub(crate) fn disturbed(&self) -> Vec<&Path> {
        match &self.request.deed {
            Deed::Unlink(path) | Deed::Mkdir(path) | Deed::Mknod(path) | Deed::Truncate(path) => {
                vec![path]
            }
            Deed::Rename(old, new) | Deed::Link(old, new) => vec![old, new],
            _ => Vec::new(),
        }
    }

    /// Whether the answer is that of a refusal.
    pub(crate) fn is_refusal(&self, errno: i32) -> bool {
        let of_capability = matches!(self.request.deed, Deed::SetHostname | Deed::Reboot);
        errno == if of_capability { libc::EPERM } else { libc::EACCES }
    }
}

fn plain(Internet { six, stream }: Internet) -> Socket {
    Socket { family: if six { 10 } else { 2 }, kind: if stream { 1 } else { 2 }, protocol: 0 }
}

fn program(set: &RuleSet, path: &Path, name: &[u8]) -> Vec<u8> {
    let bytes = path.as_os_str().as_bytes();
    if path.to_str().is_some_and(|path| set.multicall.contains(path)) {
        [bytes, b"//", name].concat()
    } else {
        bytes.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use matcher::Draw;

    use super::*;

    #[test]
    fn every_deed_is_drawn() {
        let attempts = collection::vec(attempt(&World::plan()), 4_000);
        let attempts = Draw::seeded(1).next(&attempts);
        let lines: Vec<String> = attempts.iter().map(|attempt| attempt.request.to_line()).collect();
        let drawn: BTreeSet<&str> =
            lines.iter().filter_map(|line| line.split_whitespace().nth(1)).collect();
        let all = "bind chmod chown connect execute link mkdir mknod read reboot rename rmdir send \
                   sethostname setxattr socket stat truncate unlink utimes write";
        assert_eq!(drawn.into_iter().collect::<Vec<_>>().join(" "), all);
    }

    #[test]
    fn programs_that_run_keep_their_names() {
        let attempts = collection::vec(attempt(&World::plan()), 4_000);
        for attempt in Draw::seeded(2).next(&attempts) {
            let touched = attempt.disturbed().into_iter().chain(attempt.vacated());
            for path in touched {
                assert!(!SUBJECTS.iter().any(|subject| path == Path::new(subject)), "{attempt:?}");
            }
        }
    }
}
