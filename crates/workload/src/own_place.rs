//! Where the agent itself runs: perhaps in a container that it is told of.

use std::{collections::BTreeSet, path::PathBuf};

use procfs::process::Process;

use crate::{cgroup, container::Container};

/// More generations than there are above any agent.
const MOST_ANCESTORS: usize = 256;
const HOSTS_FIRST_PROCESS: u32 = 1;

/// This process's place when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPlace {
    /// The control group's directory.
    pub cgroup: PathBuf,
    /// This process and those it descends from, as the host numbers them, without the host's first.
    pub lineage: BTreeSet<u32>,
}

impl OwnPlace {
    /// Where this process is now. `None` where there are no control groups to tell.
    pub fn find() -> Option<Self> {
        let own = std::process::id();
        let cgroup = cgroup::of_process(own).ok()?;
        let parent = |pid: &u32| {
            let stat = Process::new(i32::try_from(*pid).ok()?).and_then(|it| it.stat()).ok()?;
            u32::try_from(stat.ppid).ok().filter(|parent| *parent > HOSTS_FIRST_PROCESS)
        };
        let lineage = std::iter::successors(Some(own), parent).take(MOST_ANCESTORS).collect();
        Some(Self { cgroup, lineage })
    }

    /// Whether this process runs in that container. Names and labels, which others may take, say nothing: its control
    /// group has to be this process's or one above, and its first process this one or one that it descends from.
    pub fn is_in(&self, container: &Container) -> bool {
        self.cgroup.starts_with(&container.cgroup) && self.lineage.contains(&container.pid)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_container_is_the_agents_by_control_group_and_first_process() {
        let own = OwnPlace {
            cgroup: "/groups/pod/agent/own".into(),
            lineage: [40, 41].into_iter().collect(),
        };
        let container = |pid, cgroup: &str| {
            let (id, labels) = ("kubearmor".to_owned(), BTreeMap::new());
            Container::new(id, String::new(), labels, String::new(), pid, cgroup.into())
        };
        for (pid, cgroup, is_own) in [
            (41, "/groups/pod/agent", true),
            (40, "/groups/pod/agent", true),
            (41, "/groups/pod/agent/own", true),
            (42, "/groups/pod/agent", false),
            (41, "/groups/pod/other", false),
            (41, "/groups/pod/age", false),
            (41, "/groups/pod/agent/own/below", false),
        ] {
            assert_eq!(own.is_in(&container(pid, cgroup)), is_own, "{pid} in {cgroup}");
        }
    }

    #[test]
    fn this_process_descends_from_its_parent_and_not_from_the_hosts_first() {
        let Some(own) = OwnPlace::find() else {
            assert!(cgroup::of_process(std::process::id()).is_err());
            return;
        };
        assert!(own.lineage.contains(&std::process::id()));
        assert!(!own.lineage.contains(&HOSTS_FIRST_PROCESS));
        let parent = std::os::unix::process::parent_id();
        assert!(parent == HOSTS_FIRST_PROCESS || own.lineage.contains(&parent));
    }
}
