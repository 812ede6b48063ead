//! Containers that may come again: a restart makes the same control group for the same id. The rules of the life before
//! are bound to it when it is seen to appear. Nothing makes the runtime wait for that, so it narrows the gap at best.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

use enforce::{Placement, WorkloadKey};
use ruleset::Links;
use tracing::{debug, warn};
use workload::Container;

use super::{Governed, Index};
use crate::backend::chain;

/// Ended containers that are remembered.
const MOST: usize = 1024;

/// A life that has ended.
struct Past {
    container: Container,
    /// What links meant in its root filesystem.
    links: Arc<Links>,
    /// Its folder of control groups is looked into.
    told: bool,
}

/// The longest ended first.
#[derive(Default)]
pub(super) struct Pasts(VecDeque<Past>);

impl Pasts {
    fn remember(&mut self, container: Container, links: Arc<Links>) {
        self.forget(&container.cgroup);
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(Past { container, links, told: false });
    }

    fn forget(&mut self, cgroup: &Path) -> Option<Past> {
        let at = self.0.iter().position(|past| past.container.cgroup == *cgroup)?;
        self.0.remove(at)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Index {
    /// Remembers a container that has ended, if it had rules.
    pub(super) fn may_come_again(&mut self, ended: Governed) {
        let has_rules = ended.rules.is_some_and(|rules| !rules.rules.is_empty());
        if let Some(container) = ended.container.filter(|_| has_rules) {
            self.pasts.remember(container, ended.links);
        }
    }

    /// Folders in which control groups of containers may appear again, as far as they have not been asked for.
    pub(crate) fn take_folders(&mut self) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        for past in self.pasts.0.iter_mut().filter(|past| !past.told) {
            past.told = true;
            folders.extend(past.container.cgroup.parent().map(Path::to_owned));
        }
        folders.sort_unstable();
        folders.dedup();
        folders
    }

    /// A control group has appeared. If it is one of a container that was there before, that one's rules hold in it.
    pub(crate) fn appeared(&mut self, cgroup: &Path) {
        let Some(Past { mut container, links, .. }) = self.pasts.forget(cgroup) else { return };
        let key = WorkloadKey(container.id.as_str().into());
        if self.workloads.contains_key(&key) {
            return;
        }
        debug!("container {} may be starting again", container.id);
        // Nothing leads from the control group to it before somebody tells of it: its own hook is to do so. And late
        // news of the life before must not end this one.
        container.pid = 0;
        self.identities.insert(&key, &container);
        let governed = Governed {
            placement: Placement::Container { cgroup: cgroup.to_owned(), pid: None },
            links,
            foreseen: true,
            ..Governed::of(container)
        };
        self.follow(&key, governed);
    }

    /// Takes a container over whose control group has its rules already. False if there is none.
    pub(super) fn came_as_foreseen(&mut self, key: &WorkloadKey, container: &Container) -> bool {
        let Some(governed) = self.workloads.get(key) else { return false };
        let foreseen = governed.container.as_ref().filter(|_| governed.foreseen);
        if foreseen.is_none_or(|foreseen| foreseen.cgroup != container.cgroup) {
            return false;
        }
        let mut come = Governed::of(container.clone());
        if let Err(error) = self.backend.place(key, &come.placement) {
            warn!("container {}: {}; it gets a new place", container.id, chain(&error));
            return false;
        }
        come.selecting = self.selecting(&come.workload);
        if let Some(Governed { rules, not_expressed, problem, .. }) = self.workloads.remove(key) {
            come = Governed { rules, not_expressed, problem, ..come };
        }
        self.workloads.insert(key.clone(), come);
        self.cgroups.insert(container.cgroup.clone(), key.clone());
        self.identities.insert(key, container);
        self.govern_or_report(key);
        self.settle_or_report();
        self.observe(key);
        true
    }
}
