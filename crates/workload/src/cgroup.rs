//! The cgroup directory of a container, found through its first process.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    sync::OnceLock,
};

use procfs::process::Process;

#[derive(Debug, thiserror::Error)]
pub(crate) enum CgroupError {
    #[error("process {pid}: {source}")]
    Process {
        pid: u32,
        #[source]
        source: procfs::ProcError,
    },
    #[error(
        "no cgroup v2 hierarchy is mounted; boot with `systemd.unified_cgroup_hierarchy=1` or mount one at /sys/fs/cgroup"
    )]
    NoUnifiedHierarchy,
}

/// The directory of `pid`'s container in the v2 hierarchy.
///
/// `wanted` is the specification's `cgroupsPath`: an init system inside the container may have moved the process into
/// a cgroup below the container's own one.
pub(crate) fn directory(pid: u32, wanted: Option<&str>) -> Result<PathBuf, CgroupError> {
    let mount = mount_point()?;
    let path = process(pid)
        .and_then(|process| process.cgroups())
        .map_err(|source| CgroupError::Process { pid, source })?
        .0
        .into_iter()
        .find(|group| group.hierarchy == 0)
        .ok_or(CgroupError::NoUnifiedHierarchy)?
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

/// Whether no process is left in a cgroup, or the cgroup itself is gone.
pub fn is_over(directory: &Path) -> bool {
    match fs::read_to_string(directory.join("cgroup.events")) {
        Ok(events) => events.lines().any(|line| line == "populated 0"),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn process(pid: u32) -> Result<Process, procfs::ProcError> {
    Process::new(i32::try_from(pid).unwrap_or(i32::MAX))
}

/// Looked for once: the list of mounts is long where there are many containers.
fn mount_point() -> Result<&'static Path, CgroupError> {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found);
    }
    let pid = std::process::id();
    let found = process(pid)
        .and_then(|me| me.mountinfo())
        .map_err(|source| CgroupError::Process { pid, source })?
        .into_iter()
        .find(|mount| mount.fs_type == "cgroup2")
        .map(|mount| mount.mount_point)
        .ok_or(CgroupError::NoUnifiedHierarchy)?;
    Ok(FOUND.get_or_init(|| found))
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
            ("/system.slice/docker-c0ffee.scope/init", Some("c0ffee"), "/system.slice/docker-c0ffee.scope"),
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
