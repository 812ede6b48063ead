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
/// How far above a process's root its mount namespace's may be. Paths are no deeper than that.
const MOST_PARENTS: usize = 4096;

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
    fn circles_and_relative_paths_lead_nowhere() {
        let (_directory, root) = root();
        assert_eq!(root.resolve("/srv/a"), None);
        assert_eq!(root.resolve("bin/sh"), None);
    }
}
