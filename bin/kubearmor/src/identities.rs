//! Who stands behind a workload's key, for the thread that attributes events.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError, RwLock},
};

use enforce::WorkloadKey;
use telemetry::ContainerIdentity;

/// Ended containers whose last events may still be on their way.
const REMEMBERED: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Identities(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    containers: HashMap<WorkloadKey, Arc<ContainerIdentity>>,
    /// The longest ended first.
    ended: VecDeque<WorkloadKey>,
    /// Forgotten since somebody asked.
    forgotten: Vec<WorkloadKey>,
}

impl Identities {
    pub(crate) fn get(&self, key: &WorkloadKey) -> Option<Arc<ContainerIdentity>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).containers.get(key).cloned()
    }

    /// Containers that are known, present and past.
    pub(crate) fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).containers.len()
    }

    pub(crate) fn insert(&self, key: &WorkloadKey, identity: ContainerIdentity) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.ended.retain(|ended| ended != key);
        known.containers.insert(key.clone(), Arc::new(identity));
    }

    /// Keeps the identity of an ended container until many more have ended.
    pub(crate) fn retire(&self, key: &WorkloadKey) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.ended.push_back(key.clone());
        if known.ended.len() > REMEMBERED
            && let Some(oldest) = known.ended.pop_front()
        {
            known.containers.remove(&oldest);
            known.forgotten.push(oldest);
        }
    }

    /// Workloads that were forgotten since the last call.
    pub(crate) fn take_forgotten(&self) -> Vec<WorkloadKey> {
        std::mem::take(&mut self.0.write().unwrap_or_else(PoisonError::into_inner).forgotten)
    }
}
