//! What is the agent's own, as `bpf/include/own.h` protects it: numbers of inodes, devices, maps and links.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::{OsStr, OsString},
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

use libbpf_rs::{MapCore as _, MapFlags, MapHandle};
use rustix::{
    fs::{AtFlags, Mode, OFlags, StatxFlags, openat, statx},
    mount::{OpenTreeFlags, open_tree},
};

use crate::cgroups;

const WHOLE: u32 = 1;
const WAY: u32 = 2;
const GROUP: u32 = 4;
const DEVICE: u32 = 8;
const DISK: u32 = 16;
/// `OWN_MAPS`, `OWN_LINKS`
const MAPS: u32 = u32::MAX;
const LINKS: u32 = u32::MAX - 1;

/// A number, and the device it counts in or the kind of thing it is of.
type Key = (u64, u32);

/// Everything that is the agent's, by the numbers that the kernel knows it by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(BTreeMap<Key, u32>);

impl Marks {
    pub(crate) fn map(&mut self, id: u32) {
        self.mark((id.into(), MAPS), WHOLE);
    }

    pub(crate) fn link(&mut self, id: u32) {
        self.mark((id.into(), LINKS), WHOLE);
    }

    fn mark(&mut self, key: Key, marks: u32) {
        *self.0.entry(key).or_default() |= marks;
    }

    fn inode(&mut self, found: &Found, marks: u32) {
        self.mark((found.inode, found.device), marks);
        let device = (0, found.device);
        if self.0.get(&device).is_none_or(|marks| marks & DEVICE == 0) {
            self.mark(device, DEVICE);
            self.disks(found.device);
        }
    }

    /// The disks below a file system, down to those that others are made of.
    fn disks(&mut self, device: u32) {
        let mut below = vec![device];
        while let Some(device) = below.pop() {
            let (major, minor) = (device >> 20, device & 0xf_ffff);
            let Ok(folder) = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")) else {
                continue;
            };
            self.mark((0, device), DISK);
            let made_of = fs::read_dir(folder.join("slaves")).into_iter().flatten().flatten();
            let mut folders: Vec<PathBuf> = made_of.map(|entry| entry.path()).collect();
            if folder.join("partition").exists() {
                folders.extend(folder.parent().map(Path::to_owned));
            }
            let numbers = folders.iter().filter_map(|f| fs::read_to_string(f.join("dev")).ok());
            let known = |device: &u32| self.0.get(&(0, *device)).is_some_and(|m| m & DISK != 0);
            below.extend(numbers.filter_map(|text| device_of(&text)).filter(|d| !known(d)));
        }
    }

    /// Marks a file or directory and all that leads to it. An error of [`Covered`] leaves nothing else unmarked.
    pub(crate) fn place(
        &mut self,
        path: &Path,
        mounts: &Mounts,
        covered: &mut Covered,
    ) -> io::Result<()> {
        let path = fs::canonicalize(path)?;
        // Everything else would be below the root as well.
        let whole = if path == Path::new("/") { WAY } else { WHOLE };
        self.walk(&path, whole, WAY, mounts, covered)
    }

    /// Marks the control groups of this process and those above them. In a root there is nothing to be done to anybody.
    pub(crate) fn control_groups(&mut self, mounts: &Mounts) -> io::Result<()> {
        for (mut path, root) in cgroups::own()? {
            while path != root && path.starts_with(&root) {
                let found = mounts.find(&open(&path)?)?;
                self.inode(&found, GROUP | WAY);
                path.pop();
            }
        }
        Ok(())
    }

    fn walk(
        &mut self,
        path: &Path,
        last: u32,
        before: u32,
        mounts: &Mounts,
        covered: &mut Covered,
    ) -> io::Result<()> {
        let mut directory = open(Path::new("/"))?;
        let mut above = mounts.find(&directory)?;
        let names: Vec<_> = path
            .components()
            .filter_map(|part| if let Component::Normal(name) = part { Some(name) } else { None })
            .collect();
        self.inode(&above, if names.is_empty() { last } else { before });
        let mut outcome = Ok(());
        for (at, name) in names.iter().enumerate() {
            let next = openat(&directory, *name, FIND, Mode::empty())?;
            let found = mounts.find(&next)?;
            self.inode(&found, if at + 1 == names.len() { last } else { before });
            if found.mount != above.mount {
                // Removing a directory that is mounted upon takes the mount away, wherever else it is seen.
                match covered.inode(&directory, &above, name) {
                    Ok(inode) => self.mark((inode, above.device), before),
                    Err(error) => outcome = Err(error),
                }
            }
            (directory, above) = (next, found);
        }
        outcome
    }

    /// Makes the map hold this instead of what it held.
    pub(crate) fn replace(&self, before: &Self, map: &MapHandle) -> Result<(), libbpf_rs::Error> {
        for (key, marks) in &self.0 {
            if before.0.get(key) != Some(marks) {
                map.update(&bytes(*key), &marks.to_ne_bytes(), MapFlags::ANY)?;
            }
        }
        for key in before.0.keys().filter(|key| !self.0.contains_key(key)) {
            match map.delete(&bytes(*key)) {
                // Somebody else has taken it away.
                Err(error) if error.kind() == libbpf_rs::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok(())
    }
}

impl Marks {
    /// Makes the map hold this and nothing else, whatever somebody has done to it. Returns how many marks differed.
    pub(crate) fn bring_about(&self, map: &MapHandle) -> Result<usize, libbpf_rs::Error> {
        let mut differed = 0;
        let wanted: HashMap<[u8; 16], u32> =
            self.0.iter().map(|(key, marks)| (bytes(*key), *marks)).collect();
        for key in map.keys() {
            if !wanted.contains_key(&*key) {
                map.delete(&key)?;
                differed += 1;
            }
        }
        for (key, marks) in &wanted {
            let marks = marks.to_ne_bytes();
            if map.lookup(key, MapFlags::ANY)?.as_deref() != Some(&marks[..]) {
                map.update(key, &marks, MapFlags::ANY)?;
                differed += 1;
            }
        }
        Ok(differed)
    }
}

/// `struct own_key`
fn bytes((number, device): Key) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_ne_bytes());
    bytes[8..12].copy_from_slice(&device.to_ne_bytes());
    bytes
}

struct Found {
    inode: u64,
    device: u32,
    mount: u64,
}

/// The devices of mounts, as the kernel itself numbers them. Some file systems show others with their files.
#[derive(Debug)]
pub(crate) struct Mounts(BTreeMap<u64, u32>);

impl Mounts {
    pub(crate) fn read() -> io::Result<Self> {
        let text = fs::read_to_string("/proc/self/mountinfo")?;
        let devices = text.lines().filter_map(|line| {
            let mut fields = line.split(' ');
            Some((fields.next()?.parse().ok()?, device_of(fields.nth(1)?)?))
        });
        Ok(Self(devices.collect()))
    }

    fn find(&self, file: &OwnedFd) -> io::Result<Found> {
        let stat = statx_of(file)?;
        let shown = device(stat.stx_dev_major, stat.stx_dev_minor);
        let device = self.0.get(&stat.stx_mnt_id).copied().unwrap_or(shown);
        Ok(Found { inode: stat.stx_ino, device, mount: stat.stx_mnt_id })
    }
}

/// The kernel keeps the major number above the lowest twenty bits.
fn device(major: u32, minor: u32) -> u32 {
    major << 20 | (minor & 0xf_ffff)
}

/// `259:1`
fn device_of(text: &str) -> Option<u32> {
    let (major, minor) = text.trim().split_once(':')?;
    Some(device(major.parse().ok()?, minor.parse().ok()?))
}

const FIND: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn open(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, FIND, Mode::empty())?)
}

fn statx_of(file: &OwnedFd) -> io::Result<rustix::fs::Statx> {
    Ok(statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::MNT_ID)?)
}

/// The directories that mounts lie upon, by the directory above and their name. To look at them takes `CAP_SYS_ADMIN`,
/// which the agent has only when it starts; so what was seen once counts.
#[derive(Debug, Default)]
pub(crate) struct Covered(BTreeMap<(Key, OsString), u64>);

impl Covered {
    fn inode(&mut self, directory: &OwnedFd, above: &Found, name: &OsStr) -> io::Result<u64> {
        let key = ((above.inode, above.device), name.to_owned());
        if let Some(inode) = self.0.get(&key) {
            return Ok(*inode);
        }
        let inode = statx_of(&covered(directory, name)?)?.stx_ino;
        self.0.insert(key, inode);
        Ok(inode)
    }
}

/// The directory that a mount lies upon: a copy of the mount below has it without what is mounted there.
fn covered(directory: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(directory.as_fd(), "", flags)?;
    Ok(openat(&tree, name, FIND, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_and_all_that_leads_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        fs::create_dir(&state).unwrap();
        let mounts = Mounts::read().unwrap();
        let mut marks = Marks::default();
        // Looking below a mount takes privileges that a test need not have.
        match marks.place(&state, &mounts, &mut Covered::default()) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return,
            other => other.unwrap(),
        }
        let of = |path: &Path| {
            let found = mounts.find(&open(path).unwrap()).unwrap();
            marks.0.get(&(found.inode, found.device)).copied()
        };
        assert_eq!(of(&state), Some(WHOLE));
        assert_eq!(of(directory.path()), Some(WAY));
        assert_eq!(of(Path::new("/")), Some(WAY));
        let found = mounts.find(&open(&state).unwrap()).unwrap();
        assert_eq!(marks.0[&(0, found.device)] & DEVICE, DEVICE);
    }

    #[test]
    fn what_was_seen_below_a_mount_counts_when_it_can_be_seen_no_more() {
        let directory = open(Path::new("/")).unwrap();
        let above = Mounts::read().unwrap().find(&directory).unwrap();
        let name = OsStr::new("no such directory");
        let mut covered = Covered::default();
        assert!(covered.inode(&directory, &above, name).is_err());
        covered.0.insert(((above.inode, above.device), name.to_owned()), 7);
        assert_eq!(covered.inode(&directory, &above, name).unwrap(), 7);
    }

    #[test]
    fn devices_as_the_kernel_numbers_them() {
        assert_eq!(device_of("259:1\n"), Some(259 << 20 | 1));
        assert_eq!(device_of("0:26"), Some(26));
        assert_eq!(device_of("no device"), None);
    }
}
