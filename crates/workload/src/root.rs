//! Path resolution inside another root filesystem, one component at a time, never leaving it.

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, StatxFlags},
    io::Errno,
};

/// As the kernel, which gives up with `ELOOP`.
const MOST_LINKS: usize = 40;
const HOST_ROOT: &str = "/proc/1/root";
/// How far above a process's root its mount namespace's may be. Paths are no deeper than that.
const MOST_PARENTS: usize = 4096;

/// Where a workload's root filesystem is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootPlace {
    /// The host's own.
    Host,
    Container {
        /// Its first process, as the host numbers it.
        pid: u32,
        /// Where the runtime prepares it, as long as the first process has not moved there.
        prepared: Option<PathBuf>,
    },
}

impl RootPlace {
    /// Opens it where it is now.
    pub fn open(&self) -> io::Result<Root> {
        let Self::Container { pid, prepared } = self else {
            return Root::of_namespace(Path::new("/"));
        };
        let own = PathBuf::from(format!("/proc/{pid}/root"));
        match prepared {
            // The mounts of the container are there in its own mount namespace only.
            Some(prepared) if is_hosts(&own)? => {
                Root::open(&own.join(prepared.strip_prefix("/").unwrap_or(prepared)))
            }
            _ => Root::of_namespace(&own),
        }
    }
}

impl std::fmt::Display for RootPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Host => f.write_str("/"),
            Self::Container { pid, .. } => write!(f, "/proc/{pid}/root"),
        }
    }
}

/// Whether a root directory is the one that the host's first process has, in whatever mount namespace.
pub(crate) fn is_hosts(root: &Path) -> io::Result<bool> {
    let seen = |path: &Path| rustix::fs::stat(path).map(|stat| (stat.st_dev, stat.st_ino));
    // Who may not look there is in the host's root itself, or could not read other roots either.
    Ok(seen(root)? == seen(Path::new(HOST_ROOT)).or_else(|_| seen(Path::new("/")))?)
}

/// A root filesystem that is not ours.
#[derive(Debug)]
pub struct Root {
    directory: File,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The canonical path. What does not exist is appended as written.
    pub path: String,
    /// The place of the path's last component itself: its parent resolved, the component not.
    pub place: String,
    /// Basenames of the links that stood for the last component, in the order of following them.
    pub links: Vec<String>,
    /// A regular file exists there.
    pub file: bool,
    /// A directory exists there.
    pub directory: bool,
}

impl Root {
    /// Opens the root directory, such as `/proc/PID/root`.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { directory: File::open(path)? })
    }

    /// Opens the root of the mount namespace in which a process lives, of which `path` is the `/proc/PID/root`. That is
    /// above the process's own root if it has changed it (`chroot`), which changes no names.
    pub fn of_namespace(path: &Path) -> io::Result<Self> {
        let own = File::open(path)?;
        // Where the way up ends early (a directory that is mounted nowhere any more), the process's root must do.
        let directory = topmost(own.try_clone()?).unwrap_or(own);
        Ok(Self { directory })
    }

    /// Follows every link of `path`, which is absolute. `None` if it is relative, not UTF-8 on the way, or if its links
    /// go in circles.
    pub fn resolve(&self, path: &str) -> Option<Resolved> {
        if !path.starts_with('/') {
            return None;
        }
        let mut walk = Walk { canonical: Vec::new(), pending: pending(path), followed: 0 };
        let mut place = None;
        let mut links = Vec::new();
        let mut exists = true;
        // The root itself.
        let mut kind = FileType::Directory;
        while let Some(component) = walk.pending.pop() {
            if component == ".." {
                walk.canonical.pop();
                continue;
            }
            walk.canonical.push(component);
            let last = walk.pending.is_empty();
            if last && place.is_none() {
                place = Some(walk.text());
            }
            if !exists {
                continue;
            }
            match self.kind(&walk.text()) {
                Ok(FileType::Symlink) => {
                    let target = self.target(&walk.text())?;
                    let name = walk.canonical.pop()?;
                    if last {
                        links.push(name);
                    }
                    walk.follow(&target)?;
                }
                Ok(found) => kind = found,
                Err(_) => {
                    exists = false;
                    kind = FileType::Unknown;
                }
            }
        }
        let path = walk.text();
        Some(Resolved {
            place: place.unwrap_or_else(|| path.clone()),
            path,
            links,
            file: kind == FileType::RegularFile,
            directory: kind == FileType::Directory,
        })
    }

    /// Metadata of a canonical path.
    pub(crate) fn stat(&self, path: &str) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(self.handle(path)?)?)
    }

    /// Names and kinds of a canonical directory's entries. Names that are not UTF-8 cannot be named by rules.
    pub(crate) fn entries(&self, path: &str) -> io::Result<Vec<(String, FileType)>> {
        let directory = self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(directory)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => self.kind(&format!("{}/{name}", path.trim_end_matches('/'))),
                kind => Ok(kind),
            };
            if let Ok(kind) = kind {
                entries.push((name.to_owned(), kind));
            }
        }
        Ok(entries)
    }

    fn kind(&self, path: &str) -> io::Result<FileType> {
        Ok(FileType::from_raw_mode(self.stat(path)?.st_mode))
    }

    /// What a link, named canonically, says.
    pub(crate) fn target(&self, path: &str) -> Option<String> {
        let link = self.handle(path).ok()?;
        let target = rustix::fs::readlinkat(link, "", Vec::new()).ok()?;
        PathBuf::from(OsString::from_vec(target.into_bytes())).into_os_string().into_string().ok()
    }

    /// A handle on the object itself: a link is not followed, a device not opened.
    fn handle(&self, path: &str) -> rustix::io::Result<rustix::fd::OwnedFd> {
        self.open_at(path, OFlags::PATH | OFlags::NOFOLLOW)
    }

    /// `path` has no links, so one that appears meanwhile is an error rather than followed.
    fn open_at(&self, path: &str, flags: OFlags) -> rustix::io::Result<rustix::fd::OwnedFd> {
        let relative = match path.trim_start_matches('/') {
            "" => ".",
            relative => relative,
        };
        let resolve =
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
        loop {
            let flags = flags | OFlags::CLOEXEC;
            match rustix::fs::openat2(&self.directory, relative, flags, Mode::empty(), resolve) {
                // The kernel could not tell whether a concurrent rename led out of the root.
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
    }
}

/// Climbs to where the parent is the directory itself. Another process's root stops only that process; and all mounts
/// above a directory belong to its own mount namespace, so this leads nowhere else.
fn topmost(mut directory: File) -> Option<File> {
    for _ in 0..MOST_PARENTS {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = File::from(rustix::fs::openat(&directory, "..", flags, Mode::empty()).ok()?);
        if identity(&parent)? == identity(&directory)? {
            return Some(directory);
        }
        directory = parent;
    }
    None
}

/// Device, inode and mount: a directory may be mounted below itself.
fn identity(directory: &File) -> Option<(u32, u32, u64, u64)> {
    let wanted = StatxFlags::INO | StatxFlags::MNT_ID;
    let stat = rustix::fs::statx(directory, "", AtFlags::EMPTY_PATH, wanted).ok()?;
    Some((stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino, stat.stx_mnt_id))
}

struct Walk {
    canonical: Vec<String>,
    /// Components still to go, the next one last.
    pending: Vec<String>,
    followed: usize,
}

impl Walk {
    fn text(&self) -> String {
        format!("/{}", self.canonical.join("/"))
    }

    fn follow(&mut self, target: &str) -> Option<()> {
        self.followed += 1;
        if self.followed > MOST_LINKS {
            return None;
        }
        if target.starts_with('/') {
            self.canonical.clear();
        }
        self.pending.extend(pending(target));
        Some(())
    }
}

fn pending(path: &str) -> Vec<String> {
    path.split('/')
        .rev()
        .filter(|component| !component.is_empty() && *component != ".")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn root() -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path();
        fs::create_dir_all(base.join("usr/bin")).unwrap();
        fs::create_dir_all(base.join("srv/v2/conf")).unwrap();
        fs::write(base.join("usr/bin/dash"), "").unwrap();
        symlink("usr/bin", base.join("bin")).unwrap();
        symlink("dash", base.join("usr/bin/sh")).unwrap();
        symlink("/srv/v2", base.join("srv/current")).unwrap();
        symlink("/../../../etc/passwd", base.join("srv/escape")).unwrap();
        symlink("b", base.join("srv/a")).unwrap();
        symlink("a", base.join("srv/b")).unwrap();
        let root = Root::open(base).unwrap();
        (directory, root)
    }

    fn path(root: &Root, path: &str) -> String {
        root.resolve(path).unwrap().path
    }

    #[test]
    fn links_are_followed_in_any_component() {
        let (_directory, root) = root();
        let shell = root.resolve("/bin/sh").unwrap();
        assert_eq!(
            shell,
            Resolved {
                path: "/usr/bin/dash".into(),
                place: "/usr/bin/sh".into(),
                links: vec!["sh".into()],
                file: true,
                directory: false,
            }
        );
        assert_eq!(path(&root, "/srv/current/conf/key"), "/srv/v2/conf/key");
        assert_eq!(path(&root, "/srv/./current//conf/../x"), "/srv/v2/x");
        assert_eq!(path(&root, "/"), "/");
    }

    #[test]
    fn what_does_not_exist_keeps_its_name_below_what_does() {
        let (_directory, root) = root();
        let missing = root.resolve("/bin/none/such").unwrap();
        assert_eq!((missing.path.as_str(), missing.file), ("/usr/bin/none/such", false));
    }

    #[test]
    fn no_link_leads_out_of_the_root() {
        let (_directory, root) = root();
        assert_eq!(path(&root, "/srv/escape"), "/etc/passwd");
        assert_eq!(path(&root, "/../../etc/passwd"), "/etc/passwd");
        assert!(!root.resolve("/srv/escape").unwrap().file, "the host's file is not seen");
    }

    #[test]
    fn a_process_that_changed_its_root_lives_below_that_of_its_namespace() {
        let (jail, _) = root();
        let seen = |root: &Root| identity(&root.directory).unwrap();
        let whole = seen(&Root::of_namespace(Path::new("/proc/self/root")).unwrap());
        assert_eq!(whole, seen(&Root::open(Path::new("/")).unwrap()));
        // As the root of a process that was confined to it would be.
        let confined = Root::of_namespace(&jail.path().join("usr/bin")).unwrap();
        assert_eq!(seen(&confined), whole);
        let inside = jail.path().join("usr/bin/dash");
        assert!(confined.resolve(inside.to_str().unwrap()).unwrap().file);
    }

    #[test]
    fn a_root_that_is_being_prepared_is_read_where_it_is_prepared() {
        let (directory, _) = root();
        let pid = std::process::id();
        let prepared = Some(directory.path().to_owned());
        let found = RootPlace::Container { pid, prepared }.open().unwrap();
        assert!(found.resolve("/usr/bin/dash").unwrap().file);
        let moved = RootPlace::Container { pid, prepared: None }.open().unwrap();
        assert_eq!(identity(&moved.directory), identity(&File::open("/").unwrap()));
    }

    #[test]
    fn circles_and_relative_paths_lead_nowhere() {
        let (_directory, root) = root();
        assert_eq!(root.resolve("/srv/a"), None);
        assert_eq!(root.resolve("bin/sh"), None);
    }
}
