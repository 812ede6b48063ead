//! The cgroup directory of a container, found through its first process.
//!
//! On a host whose control groups are those of version 1, wholly or beside a v2 hierarchy without controllers, a container
//! is told by its group in the hierarchy of `devices`, which every runtime makes there.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    sync::OnceLock,
};

use procfs::{
    FromBufRead as _, FromRead as _, ProcessCGroups,
    process::{MountInfo, Process, Stat, Status},
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum CgroupError {
    #[error("process {pid}: {source}")]
    Process {
        pid: u32,
        #[source]
        source: procfs::ProcError,
    },
    #[error(
        "no control groups are mounted; boot with `systemd.unified_cgroup_hierarchy=1` or mount version 2 at /sys/fs/cgroup"
    )]
    NoHierarchy,
}

const UNIFIED_ROOT: &str = "/sys/fs/cgroup";
const LEGACY_CONTROLLER: &str = "devices";

/// The hierarchy that tells containers apart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy {
    mount: PathBuf,
    legacy: bool,
}

/// The directory of `pid`'s container.
///
/// `wanted` is the specification's `cgroupsPath`: an init system inside the container may have moved the process into
/// a cgroup below the container's own one.
pub(crate) fn directory(pid: u32, wanted: Option<&str>) -> Result<PathBuf, CgroupError> {
    let Hierarchy { mount, legacy } = hierarchy()?;
    let path = process(pid)
        .and_then(|process| process.cgroups())
        .map_err(|source| CgroupError::Process { pid, source })?
        .0
        .into_iter()
        .find(|group| match legacy {
            true => group.controllers.iter().any(|name| name == LEGACY_CONTROLLER),
            false => group.hierarchy == 0,
        })
        .ok_or(CgroupError::NoHierarchy)?
        .pathname;
    Ok(mount.join(own_cgroup(&path, wanted).strip_prefix('/').unwrap_or_default()))
}

/// The cgroup directory of a process itself.
pub(crate) fn of_process(pid: u32) -> Result<PathBuf, CgroupError> {
    directory(pid, None)
}

/// Whether a process is in the cgroup of this directory or in one below it.
pub(crate) fn holds(directory: &Path, pid: u32) -> Result<bool, CgroupError> {
    Ok(of_process(pid)?.starts_with(directory))
}

/// Whether no process is left in a cgroup or in those below it, or the cgroup itself is gone.
pub fn is_over(directory: &Path) -> bool {
    match fs::read_to_string(directory.join("cgroup.events")) {
        Ok(events) => events.lines().any(|line| line == "populated 0"),
        Err(error) => error.kind() == io::ErrorKind::NotFound && is_empty(directory),
    }
}

/// The same where no file says so, in version 1.
fn is_empty(directory: &Path) -> bool {
    match fs::read(directory.join("cgroup.procs")) {
        Ok(processes) if !processes.is_empty() => return false,
        Err(error) if error.kind() != io::ErrorKind::NotFound => return false,
        _ => {}
    }
    let below = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut groups = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    groups.all(|group| is_empty(&group.path()))
}

fn process(pid: u32) -> Result<Process, procfs::ProcError> {
    Process::new(i32::try_from(pid).unwrap_or(i32::MAX))
}

/// Looked for once: the list of mounts is long where there are many containers.
fn hierarchy() -> Result<&'static Hierarchy, CgroupError> {
    static FOUND: OnceLock<Hierarchy> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found);
    }
    let pid = std::process::id();
    let mounts = process(pid)
        .and_then(|me| me.mountinfo())
        .map_err(|source| CgroupError::Process { pid, source })?;
    let found = choose(&mounts.0).ok_or(CgroupError::NoHierarchy)?;
    Ok(FOUND.get_or_init(|| found))
}

/// Version 2 where it is the host's own; else version 1 if it has the controller; else version 2 wherever it is.
fn choose(mounts: &[MountInfo]) -> Option<Hierarchy> {
    let unified = |mount: &&MountInfo| mount.fs_type == "cgroup2";
    let legacy = |mount: &&MountInfo| {
        mount.fs_type == "cgroup" && mount.super_options.contains_key(LEGACY_CONTROLLER)
    };
    let at = |mount: &MountInfo, legacy| Hierarchy { mount: mount.mount_point.clone(), legacy };
    let own = mounts.iter().filter(unified).find(|m| m.mount_point == Path::new(UNIFIED_ROOT));
    own.map(|mount| at(mount, false))
        .or_else(|| mounts.iter().find(legacy).map(|mount| at(mount, true)))
        .or_else(|| mounts.iter().find(unified).map(|mount| at(mount, false)))
}

/// Cuts `path` behind the container's own cgroup, if `wanted` tells which one that is.
fn own_cgroup<'a>(path: &'a str, wanted: Option<&str>) -> &'a str {
    let Some(leaf) = wanted.and_then(leaf_name) else { return path };
    let mut end = 0;
    for component in path.split_inclusive('/') {
        end += component.len();
        if is_named(component.trim_end_matches('/'), &leaf) {
            return path[..end].trim_end_matches('/');
        }
    }
    path
}

/// A runtime that is given no path calls a container's group by its id, or `PREFIX-ID.scope`, or `PREFIX-ID`.
fn is_named(component: &str, leaf: &str) -> bool {
    let bare = component.strip_suffix(".scope").unwrap_or(component);
    component == leaf || bare.rsplit('-').next() == Some(leaf)
}

/// The last component that a runtime makes of `cgroupsPath`: `/a/b` is `b`, systemd's `slice:prefix:name` is
/// `prefix-name.scope`.
fn leaf_name(wanted: &str) -> Option<String> {
    let parts: Vec<_> = wanted.split(':').collect();
    if let [_, prefix, name] = parts[..] {
        return Some(format!("{prefix}-{name}.scope"));
    }
    match Path::new(wanted).components().next_back()? {
        Component::Normal(name) => name.to_str().map(str::to_owned),
        _ => None,
    }
}

/// Reads whatever bytes a process may show of itself in `/proc`, for those who try what harms. Returns the parent of a
/// process that has them for a name, which is 1 whatever they are, or nothing.
pub fn read_hostile_process(bytes: &[u8]) -> Option<i32> {
    let _ = Status::from_buf_read(bytes);
    let wanted = std::str::from_utf8(bytes).ok();
    for group in ProcessCGroups::from_buf_read(bytes).into_iter().flatten() {
        let _ = own_cgroup(&group.pathname, wanted);
    }
    // The kernel copies the name as it is; what stands around it is the kernel's.
    let zeros = " 0".repeat(48);
    let stat = [b"7 (", bytes, b") S 1", zeros.as_bytes(), b"\n"].concat();
    Stat::from_read(&*stat).ok().map(|stat| stat.ppid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_is_over_when_nobody_is_left_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let events = directory.path().join("cgroup.events");
        for (text, over) in [("populated 1\nfrozen 0\n", false), ("populated 0\nfrozen 0\n", true)]
        {
            fs::write(&events, text).unwrap();
            assert_eq!(is_over(directory.path()), over, "{text}");
        }
        assert!(is_over(&directory.path().join("gone")));
    }

    #[test]
    fn in_version_1_the_groups_below_count_as_well() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("init");
        fs::create_dir(&below).unwrap();
        for group in [directory.path(), &below] {
            fs::write(group.join("cgroup.procs"), "").unwrap();
        }
        assert!(is_over(directory.path()));
        fs::write(below.join("cgroup.procs"), "7\n").unwrap();
        assert!(!is_over(directory.path()));
    }

    #[test]
    fn the_hierarchy_is_the_one_in_which_containers_are() {
        let mounts = |lines: &[&str]| -> Vec<MountInfo> {
            lines.iter().map(|line| MountInfo::from_line(line).unwrap()).collect()
        };
        let unified = "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        let hybrid = "31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
        let devices = "32 30 0:28 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices";
        let memory = "33 30 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
        let chosen = |lines: &[&str]| {
            choose(&mounts(lines)).map(|found| (found.mount.display().to_string(), found.legacy))
        };
        let (v2, v1) = ("/sys/fs/cgroup".to_owned(), "/sys/fs/cgroup/devices".to_owned());
        assert_eq!(chosen(&[devices, unified]), Some((v2, false)));
        assert_eq!(chosen(&[hybrid, memory, devices]), Some((v1.clone(), true)));
        assert_eq!(chosen(&[memory, devices]), Some((v1, true)));
        assert_eq!(chosen(&[hybrid, memory]), Some(("/sys/fs/cgroup/unified".to_owned(), false)));
        assert_eq!(chosen(&[memory]), None);
    }

    #[test]
    fn the_containers_own_cgroup_ends_at_its_leaf() {
        let cases = [
            ("/default/web", Some("/default/web"), "/default/web"),
            ("/default/web/init.scope", Some("/default/web"), "/default/web"),
            (
                "/system.slice/cri-abc.scope/x",
                Some("system.slice:cri:abc"),
                "/system.slice/cri-abc.scope",
            ),
            ("/elsewhere", Some("/default/web"), "/elsewhere"),
            ("/default/web/sub", None, "/default/web/sub"),
            ("/default/web", Some("/"), "/default/web"),
            (
                "/system.slice/docker-c0ffee.scope/init",
                Some("c0ffee"),
                "/system.slice/docker-c0ffee.scope",
            ),
            ("/docker/c0ffee", Some("c0ffee"), "/docker/c0ffee"),
            (
                "/machine.slice/libpod-c0ffee.scope/container",
                Some("c0ffee"),
                "/machine.slice/libpod-c0ffee.scope",
            ),
            ("/libpod_parent/libpod-c0ffee/x", Some("c0ffee"), "/libpod_parent/libpod-c0ffee"),
        ];
        for (path, wanted, expected) in cases {
            assert_eq!(own_cgroup(path, wanted), expected, "{path} wanted {wanted:?}");
        }
    }
}
