//! The root of the control groups: programs that see the packets of all workloads are attached there.

use std::{
    fs::{self, File},
    io,
    path::PathBuf,
};

/// Opens the root of the v2 hierarchy, as far as this process sees it.
pub(crate) fn root() -> io::Result<File> {
    File::open(mount()?)
}

/// Where that root is.
pub(crate) fn mount() -> io::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    mount_point(&mounts)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no control groups v2 are mounted"))
}

/// The fifth field of the first line whose file system, behind the lone dash, is `cgroup2`.
fn mount_point(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?;
        source.starts_with("cgroup2 ").then(|| PathBuf::from(point))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_unified_hierarchy() {
        let mounts = "24 1 0:22 / /sys rw - sysfs sysfs rw\n\
            30 24 0:26 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro\n\
            31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:10 master:1 - cgroup2 cgroup rw\n";
        assert_eq!(mount_point(mounts), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(mount_point("24 1 0:22 / /sys rw - sysfs sysfs rw\n"), None);
    }
}
