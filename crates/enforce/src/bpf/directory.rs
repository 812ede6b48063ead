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
/// How many rules of images that have gone, beside the last image of all.
const MEMORY_OF_RULES: usize = 1 << 17;

#[derive(Debug, Default)]
pub(super) struct Directory {
    slots: HashMap<(u32, u32), WorkloadKey>,
    left: VecDeque<(u32, u32)>,
    images: HashMap<u32, Arc<RuleSet>>,
    gone: VecDeque<u32>,
    gone_rules: usize,
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
        // Where containers come and go, the same rules are computed over and over.
        let known = self.images.values().find(|known| *known == rules);
        let rules = Arc::clone(known.unwrap_or(rules));
        self.images.insert(number, rules);
    }

    pub(super) fn image_gone(&mut self, number: u32) {
        self.gone_rules += self.rules_of(number);
        self.gone.push_back(number);
        while (self.gone.len() > MEMORY || self.gone_rules > MEMORY_OF_RULES)
            && self.gone.len() > 1
            && let Some(oldest) = self.gone.pop_front()
        {
            self.gone_rules -= self.rules_of(oldest);
            self.images.remove(&oldest);
        }
    }

    fn rules_of(&self, image: u32) -> usize {
        self.images.get(&image).map_or(0, |rules| rules.rules.len())
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

    fn rules(count: usize) -> Arc<RuleSet> {
        let policy = policy::parse(
            "apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {name: p, namespace: default}\nspec:\n  \
             selector: {matchLabels: {app: web}}\n  file: {matchPaths: [{path: /a}]}\n  action: Block\n",
            "p.yaml",
        );
        let workload = ruleset::Workload {
            kind: ruleset::WorkloadKind::Container,
            name: "web".into(),
            namespace: "default".into(),
            labels: [("app".to_owned(), "web".to_owned())].into(),
        };
        let postures = ruleset::Postures::default();
        let links = ruleset::Links::default();
        let mut set = ruleset::build(policy.policies.iter(), &workload, postures, &links);
        let rule = set.rules[0].clone();
        set.rules.resize(count, rule);
        Arc::new(set)
    }

    #[test]
    fn equal_rules_are_kept_once() {
        let mut directory = Directory::default();
        directory.image_made(1, &rules(1));
        directory.image_gone(1);
        directory.image_made(2, &rules(1));
        directory.image_made(3, &rules(2));
        let [one, two, three] = [1, 2, 3].map(|image| directory.rules(image).expect("kept"));
        assert!(Arc::ptr_eq(&one, &two));
        assert_eq!(three.rules.len(), 2);
    }

    #[test]
    fn large_rule_sets_that_have_gone_are_forgotten_sooner() {
        let mut directory = Directory::default();
        for image in 0..5 {
            directory.image_made(image, &rules(MEMORY_OF_RULES / 2));
            directory.image_gone(image);
        }
        let kept: Vec<_> = (0..5).filter(|image| directory.rules(*image).is_some()).collect();
        assert_eq!(kept, [3, 4]);
        directory.image_made(5, &rules(MEMORY_OF_RULES + 1));
        directory.image_gone(5);
        assert!(directory.rules(5).is_some(), "its last records may be on their way");
        assert!(directory.rules(4).is_none());
    }
}
