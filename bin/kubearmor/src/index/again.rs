//! Containers that may come again: a restart makes the same control group for the same id. The rules of the life before
//! are bound to it when it is seen to appear. Nothing makes the runtime wait for that, so it narrows the gap at best.

use std::{
    collections::{BTreeSet, VecDeque},
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

#[derive(Default)]
pub(super) struct Pasts {
    /// The longest ended first. One stays while its control group is there again: unless somebody tells of that life, its
    /// end is not told either.
    lives: VecDeque<Past>,
    /// Folders of containers that run, to be looked into before they end.
    folders: BTreeSet<PathBuf>,
}

impl Pasts {
    fn remember(&mut self, container: Container, links: Arc<Links>) {
        if let Some(at) =
            self.lives.iter().position(|past| past.container.cgroup == container.cgroup)
        {
            self.lives.remove(at);
        }
        if self.lives.len() >= MOST {
            self.lives.pop_front();
        }
        self.lives.push_back(Past { container, links, told: false });
    }

    fn of(&self, cgroup: &Path) -> Option<&Past> {
        self.lives.iter().find(|past| past.container.cgroup == *cgroup)
    }

    pub(super) fn len(&self) -> usize {
        self.lives.len()
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

    /// The folder of a container that runs and has rules is looked into before it can start again.
    pub(super) fn look_out_for(&mut self, key: &WorkloadKey) {
        let Some(Governed { container: Some(container), rules: Some(rules), .. }) =
            self.workloads.get(key)
        else {
            return;
        };
        if !rules.rules.is_empty()
            && let Some(folder) = container.cgroup.parent()
        {
            self.pasts.folders.insert(folder.to_owned());
        }
    }

    /// Folders in which control groups of containers may appear again, as far as they have not been asked for.
    pub(crate) fn take_folders(&mut self) -> BTreeSet<PathBuf> {
        let mut folders = std::mem::take(&mut self.pasts.folders);
        for past in self.pasts.lives.iter_mut().filter(|past| !past.told) {
            past.told = true;
            folders.extend(past.container.cgroup.parent().map(Path::to_owned));
        }
        folders
    }

    /// A control group has appeared. If it is one of a container that was there before, that one's rules hold in it.
    /// `is_there` says of a container whether its first process is still in its control group.
    pub(crate) fn appeared(&mut self, cgroup: &Path, is_there: impl Fn(&Container) -> bool) {
        self.end_unheard(cgroup, is_there);
        let Some(Past { container, links, .. }) = self.pasts.of(cgroup) else { return };
        let (mut container, links) = (container.clone(), Arc::clone(links));
        let key = WorkloadKey(container.id.as_str().into());
        if self.workloads.contains_key(&key) {
            return;
        }
        debug!("container {} may be starting again", container.id);
        // Nothing leads from the control group to it before somebody tells of it: its own hook is to do so. And late
        // news of the life before must not end this one.
        container.pid = 0;
        let (workload, mode, identity) = self.identified(&container);
        self.identities.insert(&key, identity);
        let governed = Governed {
            placement: Placement::Container { cgroup: cgroup.to_owned(), pid: None },
            links,
            foreseen: true,
            ..Governed::of(container, workload, mode)
        };
        self.follow(&key, governed);
    }

    /// Where a control group appears, the life that was in one of that name is over, though its end may be told later, or
    /// never: a program that is refused at once can be gone before anybody has asked the runtime about it.
    fn end_unheard(&mut self, cgroup: &Path, is_there: impl Fn(&Container) -> bool) {
        let known = self.cgroups.get(cgroup).cloned();
        let past = || self.pasts.of(cgroup).map(|past| past.container.id.as_str().into());
        let Some(key) = known.or_else(|| past().map(WorkloadKey)) else { return };
        let Some(governed) = self.workloads.get(&key) else { return };
        let lives_there = governed.container.as_ref().is_some_and(|container| {
            // The news may be that of the very group in which the container runs by now.
            container.cgroup != *cgroup || (!governed.foreseen && is_there(container))
        });
        if !lives_there {
            self.stopped(&key.0, |_| true);
        }
    }

    /// Takes a container over whose control group has its rules already. False if there is none.
    pub(super) fn came_as_foreseen(&mut self, key: &WorkloadKey, container: &Container) -> bool {
        let Some(governed) = self.workloads.get(key) else { return false };
        let foreseen = governed.container.as_ref().filter(|_| governed.foreseen);
        if foreseen.is_none_or(|foreseen| foreseen.cgroup != container.cgroup) {
            return false;
        }
        let (workload, mode, identity) = self.identified(container);
        let mut come = Governed::of(container.clone(), workload, mode);
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
        self.identities.insert(key, identity);
        self.govern_or_report(key);
        self.settle_or_report();
        self.observe(key);
        true
    }
}
