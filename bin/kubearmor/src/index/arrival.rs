//! Containers come and go: told by several sources, governed once.

use std::path::Path;

use cluster::Mode;
use enforce::WorkloadKey;
use tracing::{debug, error, info, warn};
use workload::{Container, OwnPlace};

use super::{Governed, Index};
use crate::backend::chain;

/// Containers that have started since the agent is ready, without that anybody asked it before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unasked {
    pub(crate) started: u64,
    /// Of these, those that had executed a program when their rules were in force.
    pub(crate) late: u64,
}

impl Index {
    /// Leaves out the container that holds the agent, since its own rules could cut it off.
    pub(crate) fn runs_at(&mut self, place: Option<OwnPlace>) {
        self.own_place = place;
    }

    /// Takes in what a container runtime tells afterwards.
    pub(super) fn found(&mut self, container: Container) {
        let key = WorkloadKey(container.id.as_str().into());
        let before = self.workloads.get(&key);
        let asked = before.is_some_and(|governed| is_known(governed, &container));
        let foreseen = before.is_some_and(|governed| governed.foreseen);
        // Whoever waits for a container asks through `arrived`; what went wrong is logged.
        drop(self.arrived(container));
        self.look_out_for(&key);
        // The agent's own is left out.
        if self.scanned && !asked && self.workloads.contains_key(&key) {
            self.unasked.started += 1;
            self.unasked.late += u64::from(!foreseen && self.backend.has_entered(&key));
        }
    }

    pub(crate) fn unasked(&self) -> Unasked {
        self.unasked
    }

    /// Puts the rules of a container in force. Of one that is known already only what is news counts. Fails if rules
    /// that concern it are not in force.
    pub(crate) fn arrived(&mut self, container: Container) -> Result<(), String> {
        let key = WorkloadKey(container.id.as_str().into());
        if &*key.0 == WorkloadKey::HOST {
            let problem = format!("a container whose id is `{key}` cannot be told from the host");
            error!("{problem}");
            return Err(problem);
        }
        if self.own_place.as_ref().is_some_and(|place| place.is_in(&container)) {
            self.leave_out(&container);
            return Ok(());
        }
        if self.workloads.get(&key).is_some_and(|governed| is_known(governed, &container)) {
            self.heard_again(&key, &container);
        } else if !self.came_as_foreseen(&key, &container) {
            self.begin(&key, container);
        }
        self.standing(&key)
    }

    fn leave_out(&mut self, container: &Container) {
        if self.own_container.as_ref() != Some(&container.id) {
            let Container { id, name, namespace, .. } = container;
            info!(
                "container {name} in namespace {namespace} ({id}) is the agent's own: no policy holds for it"
            );
            self.own_container = Some(id.clone());
        }
    }

    /// A new life, whatever is known under this id.
    fn begin(&mut self, key: &WorkloadKey, container: Container) {
        self.stopped(&key.0, |_| true);
        let (workload, mode, identity) = self.identified(&container);
        self.identities.insert(key, identity);
        self.cgroups.insert(container.cgroup.clone(), key.clone());
        self.follow(key, Governed::of(container, workload, mode));
    }

    /// Its place is known. Its labels may not have been, nor all links of its root filesystem: the first source may have
    /// told of it before everything was mounted.
    fn heard_again(&mut self, key: &WorkloadKey, container: &Container) {
        let Some(governed) = self.workloads.get_mut(key) else { return };
        let Some(known) = &mut governed.container else { return };
        known.complete(container);
        self.identify_again(key);
        self.govern_or_report(key);
        self.settle_or_report();
    }

    /// Why rules that select the workload are not in force, if so. A node that enforces nothing at all says so elsewhere.
    fn standing(&self, key: &WorkloadKey) -> Result<(), String> {
        let Some(governed) = self.workloads.get(key) else { return Ok(()) };
        match &governed.problem {
            Some(problem) if self.is_selected(governed) => {
                Err(format!("the rules of {} are not in force: {problem}", governed.workload.name))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn may_start_ungoverned(&self) -> bool {
        self.settings.start_ungoverned
    }

    fn is_selected(&self, governed: &Governed) -> bool {
        let mut selecting = governed.selecting.iter();
        governed.mode != Mode::Disabled
            && selecting.any(|policy| super::is_enabled(&self.settings, policy.id.kind))
    }

    /// Forgets the container of this id if `over` says that the life that is known of it has ended.
    pub(crate) fn stopped(&mut self, id: &str, over: impl FnOnce(&Container) -> bool) {
        let key = WorkloadKey(id.into());
        let known = self.workloads.get(&key).and_then(|governed| governed.container.as_ref());
        if !known.is_some_and(over) {
            return;
        }
        let ended = self.workloads.remove(&key);
        let container = ended.as_ref().and_then(|governed| governed.container.as_ref());
        // Another container may have the control group by now.
        if let Some(Container { cgroup, .. }) = container
            && self.cgroups.get(cgroup) == Some(&key)
        {
            self.cgroups.remove(cgroup);
        }
        self.identities.retire(&key);
        if let Err(error) = self.backend.remove(&key) {
            warn!("container {id} ended: {}", chain(&error));
        }
        self.settle_or_report();
        if let Some(ended) = ended {
            self.may_come_again(ended);
        }
    }

    /// Forgets containers of which nothing is left, though nobody told of their end: their start may have failed.
    pub(crate) fn forget_ended(&mut self, is_over: impl Fn(&Path) -> bool) {
        let ended: Vec<String> = self
            .workloads
            .values()
            .filter_map(|governed| governed.container.as_ref())
            .filter(|container| is_over(&container.cgroup))
            .map(|container| container.id.clone())
            .collect();
        for id in ended {
            debug!("container {id} has ended, which nobody told");
            self.stopped(&id, |_| true);
        }
    }

    /// The container in whose control group, or in one below it, this one is.
    pub(crate) fn container_of(&self, cgroup: &Path) -> Option<&str> {
        let key = cgroup.ancestors().find_map(|group| self.cgroups.get(group))?;
        Some(&key.0)
    }
}

/// A life that never had its rules begins again: it may not even have a place.
fn is_known(governed: &Governed, container: &Container) -> bool {
    let same = governed.container.as_ref().is_some_and(|known| known.is_same_life(container));
    same && (governed.rules.is_some() || governed.problem.is_none())
}
