//! Control groups as the host has them mounted: programs that see the packets of all workloads are attached to the root
//! of version 2, and the agent is in a group of each hierarchy.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, open},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen},
};

/// Opens the root of the v2 hierarchy, as far as this process sees it. A host on control groups v1 has one as well, which
/// need not be mounted.
pub(crate) fn root() -> io::Result<OwnedFd> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    if let Some(point) = mount_point(&mounts, "") {
        return Ok(open(point, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?);
    }
    let context = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let unseen = MountAttrFlags::empty();
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, unseen)?)
}

/// The directories of this process's control groups, of each mounted hierarchy, with the hierarchy's root.
pub(crate) fn own() -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(groups(&fs::read_to_string("/proc/self/cgroup")?, &mounts))
}

/// From lines `NUMBER:CONTROLLERS:PATH`; version 2 has no controllers there.
fn groups(own: &str, mounts: &str) -> Vec<(PathBuf, PathBuf)> {
    let group = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        let path = fields.next()?.trim_start_matches('/');
        let root = mount_point(mounts, controllers.split(',').next()?)?;
        Some((root.join(path), root))
    };
    own.lines().filter_map(group).collect()
}

/// The fifth field of the first line whose file system, behind the lone dash, is `cgroup2`; or `cgroup` with this
/// controller, which may be a hierarchy's name.
fn mount_point(mounts: &str, controller: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?;
        let mut source = source.split(' ');
        let kind = source.next()?;
        let is_it = match controller {
            "" => kind == "cgroup2",
            _ => kind == "cgroup" && source.next_back()?.split(',').any(|o| o == controller),
        };
        is_it.then(|| Path::new(point).to_owned())
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
        assert_eq!(mount_point(mounts, ""), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(mount_point("24 1 0:22 / /sys rw - sysfs sysfs rw\n", ""), None);
    }

    #[test]
    fn finds_the_own_group_of_each_hierarchy() {
        let mounts = "30 24 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n\
            32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
            33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n";
        let own =
            "5:cpu,cpuacct:/agent\n3:freezer:/x\n1:name=systemd:/system.slice/a:b\n0::/agent\n";
        let found: Vec<_> = groups(own, mounts).into_iter().map(|(path, _)| path).collect();
        let wanted =
            ["/sys/fs/cgroup/cpu,cpuacct/agent", "/sys/fs/cgroup/systemd/system.slice/a:b"];
        assert_eq!(found, wanted.map(PathBuf::from));
    }
}
