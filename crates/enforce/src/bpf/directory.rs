//! What the numbers in records mean: slots and images, also those that have gone a while ago, because a record may
//! still be on its way when its workload ends or its rules change.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use ruleset::RuleSet;

use crate::WorkloadKey;

/// How many that have gone are remembered.
const MEMORY: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Directory {
    slots: HashMap<(u32, u32), WorkloadKey>,
    left: VecDeque<(u32, u32)>,
    images: HashMap<u32, Arc<RuleSet>>,
    gone: VecDeque<u32>,
}

impl Directory {
    pub(super) fn slot_taken(&mut self, slot: u32, generation: u32, workload: &WorkloadKey) {
        self.slots.insert((slot, generation), workload.clone());
    }

    pub(super) fn slot_left(&mut self, slot: u32, generation: u32) {
        self.left.push_back((slot, generation));
        if self.left.len() > MEMORY
            && let Some(oldest) = self.left.pop_front()
        {
            self.slots.remove(&oldest);
        }
    }

    pub(super) fn image_made(&mut self, number: u32, rules: &Arc<RuleSet>) {
        self.images.insert(number, Arc::clone(rules));
    }

    pub(super) fn image_gone(&mut self, number: u32) {
        self.gone.push_back(number);
        if self.gone.len() > MEMORY
            && let Some(oldest) = self.gone.pop_front()
        {
            self.images.remove(&oldest);
        }
    }

    pub(super) fn workload(&self, slot: u32, generation: u32) -> Option<WorkloadKey> {
        self.slots.get(&(slot, generation)).cloned()
    }

    /// Slots and images, present and past.
    pub(super) fn len(&self) -> usize {
        self.slots.len() + self.images.len()
    }

    pub(super) fn rules(&self, image: u32) -> Option<Arc<RuleSet>> {
        self.images.get(&image).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_finds_its_workload_after_the_slot_has_a_new_tenant() {
        let mut directory = Directory::default();
        let (old, new) = (WorkloadKey("old".into()), WorkloadKey("new".into()));
        directory.slot_taken(3, 1, &old);
        directory.slot_left(3, 1);
        directory.slot_taken(3, 3, &new);
        assert_eq!(directory.workload(3, 1), Some(old));
        assert_eq!(directory.workload(3, 3), Some(new));
        assert_eq!(directory.workload(3, 2), None);
    }

    #[test]
    fn what_has_gone_is_forgotten_in_the_end() {
        let mut directory = Directory::default();
        for generation in 0..=u32::try_from(MEMORY).expect("small") {
            directory.slot_taken(1, generation, &WorkloadKey("x".into()));
            directory.slot_left(1, generation);
        }
        assert_eq!(directory.workload(1, 0), None);
        assert!(directory.workload(1, 1).is_some());
    }
}
