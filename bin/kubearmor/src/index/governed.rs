//! A workload as the index keeps it.

use std::sync::Arc;

use cluster::Mode;
use enforce::{NotExpressed, Placement};
use policy::Policy;
use ruleset::{Links, RuleSet, Workload};
use workload::{Container, RootPlace};

pub(super) struct Governed {
    pub(super) workload: Workload,
    pub(super) placement: Placement,
    /// Where its root filesystem can be read.
    pub(super) root: RootPlace,
    /// What was told of it; `None` for the host.
    pub(super) container: Option<Container>,
    /// How far policies hold in it, by what the cluster says of its pod.
    pub(super) mode: Mode,
    /// The policies that select it, enabled or not.
    pub(super) selecting: Vec<Arc<Policy>>,
    /// The rules in force; `None` before the first ones.
    pub(super) rules: Option<Arc<RuleSet>>,
    /// What links meant when the rules were computed.
    pub(super) links: Arc<Links>,
    /// Nobody has told of this life yet: its control group has appeared. The links are those of the life before.
    pub(super) foreseen: bool,
    pub(super) not_expressed: Vec<NotExpressed>,
    /// Why the rules in force are not the ones that should be.
    pub(super) problem: Option<String>,
}

impl Governed {
    /// A container that has no rules yet.
    pub(super) fn of(container: Container, workload: Workload, mode: Mode) -> Self {
        let placement =
            Placement::Container { cgroup: container.cgroup.clone(), pid: Some(container.pid) };
        let root = container.root();
        Self::without_rules(workload, mode, placement, root, Some(container))
    }

    /// The host, which has no rules yet.
    pub(super) fn host(workload: Workload, mode: Mode) -> Self {
        Self::without_rules(workload, mode, Placement::Host, RootPlace::Host, None)
    }

    fn without_rules(
        workload: Workload,
        mode: Mode,
        placement: Placement,
        root: RootPlace,
        container: Option<Container>,
    ) -> Self {
        Self {
            workload,
            mode,
            placement,
            root,
            container,
            selecting: Vec::new(),
            rules: None,
            links: Arc::default(),
            foreseen: false,
            not_expressed: Vec::new(),
            problem: None,
        }
    }
}
