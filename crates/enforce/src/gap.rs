//! [`Gap`]: the account of a time in which no agent read what the programs reported.

use std::{collections::BTreeMap, fmt};

use crate::WorkloadKey;

/// What became of the alerts that an earlier agent's programs raised while no agent read them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// Sent as events, with workload and rule.
    pub reported: u64,
    /// Lost: nobody knows the workload any more.
    pub ended: u64,
    /// Lost, by workload: other rules are in force by now, so nobody knows which one spoke.
    pub changed: BTreeMap<WorkloadKey, u64>,
    /// Lost: they found the kernel's ring full.
    pub ring_full: u64,
    /// Lost: their records are of another version.
    pub unreadable: u64,
    /// Runs of which nothing is known, and why.
    pub unknown: Vec<String>,
}

impl Gap {
    pub fn lost(&self) -> u64 {
        self.ended + self.lost_to_change() + self.ring_full + self.unreadable
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.reported == 0 && self.lost() == 0 && self.unknown.is_empty()
    }

    fn lost_to_change(&self) -> u64 {
        self.changed.values().sum()
    }
}

/// In one sentence, for a message to operators.
impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reported, lost) = (self.reported, self.lost());
        write!(
            f,
            "an earlier agent's programs raised {} alerts while no agent read them: {reported} reported, {lost} lost",
            reported + lost
        )?;
        let reasons = [
            (self.ended, "of workloads that have ended"),
            (self.lost_to_change(), "by rules that have changed"),
            (self.ring_full, "for which the kernel had no room"),
            (self.unreadable, "of another version"),
        ];
        let reasons: Vec<_> = reasons
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, reason)| format!("{count} {reason}"))
            .collect();
        if !reasons.is_empty() {
            write!(f, " ({})", reasons.join(", "))?;
        }
        for reason in &self.unknown {
            write!(f, "; nothing is known of a run of another version: {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_is_lost_and_why() {
        assert!(Gap::default().is_empty());
        let mut gap = Gap { reported: 3, ..Gap::default() };
        assert_eq!(
            gap.to_string(),
            "an earlier agent's programs raised 3 alerts while no agent read them: 3 reported, 0 lost"
        );
        gap.ended = 2;
        gap.changed.insert(WorkloadKey("web".into()), 4);
        gap.changed.insert(WorkloadKey("db".into()), 1);
        assert_eq!(gap.lost(), 7);
        assert_eq!(
            gap.to_string(),
            "an earlier agent's programs raised 10 alerts while no agent read them: 3 reported, 7 lost (2 of \
             workloads that have ended, 5 by rules that have changed)"
        );
    }
}
