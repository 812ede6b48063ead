//! A container as far as the kernel programs can tell: a control group with a process in it.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use enforce::{Enforcer, Placement, WorkloadKey};

const CGROUPS: &str = "/sys/fs/cgroup";

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
