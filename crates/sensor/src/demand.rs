//! Programs that cost something wherever they are attached: loaded at the start, so that it is known what this kernel
//! takes, and attached only while some rule asks for them.

use std::{fs, io, os::fd::AsRawFd as _, path::Path};

use libbpf_rs::{
    Link, ProgramMut, ProgramType,
    query::{CgroupLinkInfo, LinkTypeInfo},
};

use crate::{cgroups, load::chain, programs::Programs};

/// What rules may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Demand {
    /// Rules on the names that name servers are asked for.
    Dns,
    /// Rules on system calls.
    Syscalls,
    /// Rules on system calls with the paths that they are made on.
    SyscallPaths,
    /// Rules that forbid programs.
    Programs,
    /// Rules on files that somebody has open since before they came.
    OldFiles,
    AnonymousMapExec,
    FilelessExec,
    ProtectEnv,
    ExecPreset,
    ProtectProc,
}

impl Demand {
    pub const ALL: [Self; 10] = [
        Self::Dns,
        Self::Syscalls,
        Self::SyscallPaths,
        Self::Programs,
        Self::OldFiles,
        Self::AnonymousMapExec,
        Self::FilelessExec,
        Self::ProtectEnv,
        Self::ExecPreset,
        Self::ProtectProc,
    ];

    fn groups(self) -> &'static [&'static str] {
        match self {
            Self::Dns => &["dns", "dns_egress"],
            Self::Syscalls => &["syscalls"],
            Self::SyscallPaths => &["syscall_paths"],
            Self::Programs => &["loader"],
            Self::OldFiles => &["old"],
            Self::AnonymousMapExec => &["preset/anonymous_map_exec"],
            Self::FilelessExec => &["preset/fileless_exec"],
            Self::ProtectEnv => &["preset/protect_env"],
            Self::ExecPreset => &["preset/exec"],
            Self::ProtectProc => &["preset/protect_proc"],
        }
    }
}

/// Whether a group waits until it is asked for.
pub(crate) fn is_on_demand(group: &str) -> bool {
    Demand::ALL.iter().any(|demand| demand.groups().contains(&group))
}

/// Why the kernel cannot serve such rules, or not whole, if so.
pub(crate) fn missing(programs: &Programs, demand: Demand) -> Option<String> {
    let refused = programs.refused().filter(|(group, _)| demand.groups().contains(group));
    let reasons: Vec<_> = refused.map(|(group, why)| format!("{group}: {}", chain(why))).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// The links of the groups that are attached, each with its program's name.
#[derive(Debug, Default)]
pub(crate) struct OnDemand(Vec<(&'static str, Vec<(String, Link)>)>);

impl OnDemand {
    /// Attaches what this kernel took, and pins the links in the folder so that they outlast the agent. False if all
    /// was attached already.
    pub(crate) fn attach(
        &mut self,
        programs: &Programs,
        demand: Demand,
        pins: Option<&Path>,
    ) -> Result<bool, libbpf_rs::Error> {
        let before = self.0.len();
        for &group in demand.groups() {
            if self.0.iter().any(|(attached, _)| *attached == group) {
                continue;
            }
            let mut links = Vec::new();
            for program in programs.of(group) {
                let name = program.name().to_string_lossy().into_owned();
                let mut link = attach(&program)?;
                if let Some(folder) = pins {
                    link.pin(folder.join(&name))?;
                }
                links.push((name, link));
            }
            self.0.push((group, links));
        }
        Ok(self.0.len() > before)
    }

    pub(crate) fn links(&self) -> impl Iterator<Item = &(String, Link)> {
        self.0.iter().flat_map(|(_, links)| links)
    }

    /// Attaches again what was detached by force, which links to control groups can be. Returns the programs, and what
    /// came of it. Their pins, if any, lead to the old links still.
    pub(crate) fn attach_again(
        &mut self,
        programs: &Programs,
    ) -> Vec<(String, Result<(), libbpf_rs::Error>)> {
        let mut tried = Vec::new();
        for (group, links) in &mut self.0 {
            for (name, link) in links.iter_mut().filter(|(_, link)| is_detached(link)) {
                let program = programs.of(group).find(|p| p.name().to_string_lossy() == *name);
                let Some(program) = program else { continue };
                let attached = attach(&program).map(|fresh| *link = fresh);
                tried.push((name.clone(), attached));
            }
        }
        tried
    }

    /// False if nothing was attached.
    pub(crate) fn detach(
        &mut self,
        demand: Demand,
        pins: Option<&Path>,
    ) -> Result<bool, libbpf_rs::Error> {
        let before = self.0.len();
        let served = |(group, _): &mut (&str, _)| demand.groups().contains(group);
        for (name, link) in self.0.extract_if(.., served).flat_map(|(_, links)| links) {
            let removed = pins.map_or(Ok(()), |folder| fs::remove_file(folder.join(&name)));
            drop(link);
            match removed {
                // Somebody has lifted all rules meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok(self.0.len() < before)
    }
}

/// A control group takes the links to it along, and anyone who holds such a link may take it off.
fn is_detached(link: &Link) -> bool {
    link.info().is_ok_and(|link| {
        matches!(link.info, LinkTypeInfo::Cgroup(CgroupLinkInfo { cgroup_id: 0, .. }))
    })
}

fn attach(program: &ProgramMut<'_>) -> Result<Link, libbpf_rs::Error> {
    if program.prog_type() == ProgramType::CgroupSkb {
        let root = cgroups::root().map_err(libbpf_rs::Error::from)?;
        return program.attach_cgroup(root.as_raw_fd());
    }
    program.attach()
}
