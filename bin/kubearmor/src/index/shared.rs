//! What many workloads have in common, kept once: replicas have the same rules and the same links, and a rule takes some
//! hundred bytes.

use std::{collections::HashSet, hash::Hash, sync::Arc};

/// So few need no look at whether somebody still has them.
const FEW: usize = 64;

#[derive(Debug)]
pub(super) struct Shared<T> {
    known: HashSet<Arc<T>>,
    /// In use when that was last looked at.
    used: usize,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { known: HashSet::new(), used: 0 }
    }
}

impl<T: Eq + Hash> Shared<T> {
    /// The one copy of it.
    pub(super) fn shared(&mut self, one: T) -> Arc<T> {
        if let Some(known) = self.known.get(&one) {
            return Arc::clone(known);
        }
        if self.known.len() >= 2 * self.used + FEW {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.used = self.known.len();
        }
        let one = Arc::new(one);
        self.known.insert(Arc::clone(&one));
        one
    }
}

#[cfg(test)]
mod tests {
    use ruleset::{Posture, Postures, RuleSet};

    use super::*;

    fn rules(number: usize) -> RuleSet {
        let multicall = [format!("/bin/{number}")].into();
        let postures = Postures { file: Posture::Allow, ..Postures::default() };
        RuleSet { multicall, postures, ..RuleSet::default() }
    }

    #[test]
    fn equal_rules_are_kept_once() {
        let mut sets = Shared::default();
        let (one, other) = (sets.shared(rules(1)), sets.shared(rules(1)));
        assert!(Arc::ptr_eq(&one, &other));
        assert!(!Arc::ptr_eq(&one, &sets.shared(rules(2))));
    }

    #[test]
    fn what_nobody_has_any_more_is_forgotten() {
        let mut sets = Shared::default();
        let kept: Vec<_> = (0..10).map(|number| sets.shared(rules(number))).collect();
        for number in 10..10_000 {
            sets.shared(rules(number));
        }
        assert!(sets.known.len() <= 2 * kept.len() + FEW + 1, "{}", sets.known.len());
        assert!(Arc::ptr_eq(&kept[3], &sets.shared(rules(3))));
    }
}
