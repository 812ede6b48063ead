//! A container as far as the kernel programs can tell: a control group with a process in it, whose
//! root is not the host's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use enforce::{Enforcer, Placement, WorkloadKey};

const CGROUPS: &str = "/sys/fs/cgroup";

/// The root of every container.
pub(crate) const ROOT: &str = "/srv/bench/root";
/// What containers have from the host.
const SHARED: [&str; 4] = ["usr", "dev", "proc", "sys"];
/// Where programs look for their loader and libraries.
const MERGED: [&str; 3] = ["bin", "lib", "lib64"];

/// Makes [`ROOT`]: a directory, so that what is measured lies on the file system that the plain
/// kernel is measured on.
pub(crate) fn make_root() -> Result<()> {
    let root = Path::new(ROOT);
    for name in SHARED {
        let place = root.join(name);
        fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
        let status = Command::new("mount")
            .arg("--rbind")
            .arg(Path::new("/").join(name))
            .arg(&place)
            .status()
            .context("mount")?;
        ensure!(status.success(), "mounting {} ended with {status}", place.display());
    }
    for name in MERGED {
        let link = root.join(name);
        std::os::unix::fs::symlink(format!("usr/{name}"), &link)
            .with_context(|| link.display().to_string())?;
    }
    Ok(())
}

/// As [`Command::new`] of `chrt`, with [`ROOT`] for its root in a mount namespace of its own.
pub(crate) fn inside() -> Command {
    let enter = format!(
        "mount --rbind {ROOT} {ROOT} && cd {ROOT} && pivot_root . . && umount -l . && exec \"$@\""
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &enter, "sh", "chrt"]);
    command
}

/// A control group that an enforcer knows as a workload.
pub(crate) struct Container {
    cgroup: PathBuf,
    pub(crate) workload: WorkloadKey,
}

impl Container {
    /// Makes the control group.
    pub(crate) fn make(name: &str) -> Result<Self> {
        let cgroup = PathBuf::from(CGROUPS).join(name);
        fs::create_dir(&cgroup).with_context(|| cgroup.display().to_string())?;
        Ok(Self { cgroup, workload: WorkloadKey(name.into()) })
    }

    /// Moves the process in and tells the enforcer, which labels it.
    pub(crate) fn take_in(&self, enforcer: &mut dyn Enforcer, pid: u32) -> Result<()> {
        let members = self.cgroup.join("cgroup.procs");
        fs::write(&members, pid.to_string()).with_context(|| members.display().to_string())?;
        let placement = Placement::Container { cgroup: self.cgroup.clone(), pid: Some(pid) };
        Ok(enforcer.place(&self.workload, &placement)?)
    }

    /// Removes the control group, whose processes have ended, and forgets the workload.
    pub(crate) fn end(self, enforcer: &mut dyn Enforcer) -> Result<()> {
        enforcer.remove(&self.workload)?;
        fs::remove_dir(&self.cgroup).with_context(|| self.cgroup.display().to_string())
    }
}
