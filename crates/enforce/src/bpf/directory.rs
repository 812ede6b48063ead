//! What the numbers in records mean: slots and images, also those that have gone a while ago, because a record may
//! still be on its way when its workload ends or its rules change.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use ruleset::RuleSet;

use crate::WorkloadKey;

/// How many that have gone are remembered: as many as can go at once, when a policy changes or a node is drained.
const MEMORY: usize = sensor::SLOTS as usize;
/// No record is on its way for so long. Rules take room, so those that have gone are forgotten with the next change.
const ON_ITS_WAY: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
pub(super) struct Directory {
    slots: HashMap<(u32, u32), WorkloadKey>,
    left: VecDeque<(u32, u32)>,
    images: HashMap<u32, Arc<RuleSet>>,
    /// The longest gone first.
    gone: VecDeque<(Instant, u32)>,
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

    pub(super) fn image_gone(&mut self, number: u32, now: Instant) {
        self.gone.push_back((now, number));
        let is_over = |(since, _): &mut (Instant, u32)| now.duration_since(*since) > ON_ITS_WAY;
        while let Some((_, oldest)) = self.gone.pop_front_if(is_over) {
            self.images.remove(&oldest);
        }
        if self.gone.len() > MEMORY
            && let Some((_, oldest)) = self.gone.pop_front()
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

    #[test]
    fn ten_thousand_changes_at_once_lose_no_rules() {
        let (mut directory, now) = (Directory::default(), Instant::now());
        for number in 1..=20_000 {
            directory.image_made(number, &Arc::default());
        }
        for number in 1..=10_000 {
            directory.image_gone(number, now);
        }
        assert!((1..=20_000).all(|number| directory.rules(number).is_some()));
        directory.image_gone(10_001, now + ON_ITS_WAY + Duration::from_secs(1));
        assert!((1..=10_000).all(|number| directory.rules(number).is_none()));
        assert!((10_001..=20_000).all(|number| directory.rules(number).is_some()));
    }

    #[test]
    fn rules_that_have_gone_are_bounded() {
        let (mut directory, now) = (Directory::default(), Instant::now());
        for number in (1..).take(MEMORY + 1) {
            directory.image_made(number, &Arc::default());
            directory.image_gone(number, now);
        }
        assert!(directory.rules(1).is_none());
        assert!(directory.rules(2).is_some());
    }
}
