//! [`Repairs`]: how often what was in the kernel was not what should be there.

use std::collections::BTreeMap;

use sensor::{Repair, RepairKind};

/// Counts by kind since the agent started. Each only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repairs(BTreeMap<RepairKind, u64>);

impl Repairs {
    pub(crate) fn count(&mut self, repairs: &[Repair]) {
        for repair in repairs.iter().filter(|repair| repair.failed.is_none()) {
            *self.0.entry(repair.kind).or_default() += 1;
        }
    }

    /// Every kind, with what was repaired of it.
    pub fn counts(&self) -> impl Iterator<Item = (RepairKind, u64)> {
        let count = |kind| (kind, self.0.get(&kind).copied().unwrap_or_default());
        RepairKind::ALL.into_iter().map(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_repaired_is_not_counted() {
        let mut repairs = Repairs::default();
        repairs.count(&[
            Repair::done(RepairKind::Pin, "a"),
            Repair::done(RepairKind::Pin, "b"),
            Repair::tried(RepairKind::Link, "c", Err("no")),
        ]);
        assert_eq!(
            repairs.counts().filter(|(_, count)| *count > 0).collect::<Vec<_>>(),
            [(RepairKind::Pin, 2)]
        );
        assert_eq!(repairs.counts().count(), RepairKind::ALL.len());
    }
}
