//! When which status may be written.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use policy::PolicyId;

use crate::status::Urgency;

/// Between two writes to one policy.
const BETWEEN: Duration = Duration::from_secs(10);
/// The time in which writes are counted.
const SECOND: Duration = Duration::from_secs(1);

/// How long a change waits for others that may follow it.
fn patience(urgency: Urgency) -> Duration {
    match urgency {
        Urgency::Outcome => Duration::from_secs(1),
        Urgency::Progress => Duration::from_secs(5),
        Urgency::Numbers => Duration::from_secs(60),
    }
}

/// Bounds on writes: so many in a second overall, and one to a policy in ten seconds.
#[derive(Debug)]
pub struct Pace {
    in_a_second: usize,
    waiting: BTreeMap<PolicyId, Instant>,
    /// Of the last ten seconds.
    last: HashMap<PolicyId, Instant>,
}

impl Pace {
    /// `in_a_second` counts at least one.
    pub fn new(in_a_second: usize) -> Self {
        Self { in_a_second: in_a_second.max(1), waiting: BTreeMap::new(), last: HashMap::new() }
    }

    /// A policy's status differs from what the cluster has.
    pub fn want(&mut self, id: &PolicyId, urgency: Urgency, now: Instant) {
        let due = now + patience(urgency);
        let waiting = self.waiting.entry(id.clone()).or_insert(due);
        *waiting = due.min(*waiting);
    }

    /// It does not differ any more, or the policy is gone.
    pub fn forget(&mut self, id: &PolicyId) {
        self.waiting.remove(id);
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes out what may be written at `now`, longest due first, and counts it as written.
    pub fn due(&mut self, now: Instant) -> Vec<PolicyId> {
        self.last.retain(|_, at| now.saturating_duration_since(*at) < BETWEEN);
        let lately = self.last.values();
        let lately = lately.filter(|at| now.saturating_duration_since(**at) < SECOND).count();
        let mut due: Vec<(Instant, &PolicyId)> = self
            .waiting
            .iter()
            .filter(|(id, at)| **at <= now && !self.last.contains_key(id))
            .map(|(id, at)| (*at, id))
            .collect();
        due.sort();
        let due: Vec<PolicyId> = due
            .into_iter()
            .take(self.in_a_second.saturating_sub(lately))
            .map(|(_, id)| id.clone())
            .collect();
        for id in &due {
            self.waiting.remove(id);
            self.last.insert(id.clone(), now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use policy::Kind;
    use proptest::prelude::*;

    use super::*;

    fn id(number: u8) -> PolicyId {
        PolicyId { kind: Kind::Cluster, namespace: None, name: format!("p{number}") }
    }

    fn urgency() -> impl Strategy<Value = Urgency> {
        prop_oneof![Just(Urgency::Numbers), Just(Urgency::Progress), Just(Urgency::Outcome)]
    }

    proptest! {
        /// Steps of some milliseconds, in each of which a few policies want to be written.
        #[test]
        fn bounds_hold_and_nobody_waits_for_ever(
            steps in prop::collection::vec(
                (1_u64..3000, prop::collection::vec((0_u8..12, urgency()), 0..6)), 1..80),
            in_a_second in 1_usize..5,
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut pace = Pace::new(in_a_second);
            let mut written: Vec<(Instant, PolicyId)> = Vec::new();
            let mut wanted = std::collections::BTreeSet::new();
            for (millis, wants) in steps {
                now += Duration::from_millis(millis);
                for (number, urgency) in wants {
                    pace.want(&id(number), urgency, now);
                    wanted.insert(id(number));
                }
                written.extend(pace.due(now).into_iter().map(|id| (now, id)));
            }
            // What is wanted is written in the end, and then nothing is left.
            for _ in 0..200 {
                now += SECOND;
                written.extend(pace.due(now).into_iter().map(|id| (now, id)));
            }
            prop_assert_eq!(pace.waiting(), 0);
            let ever: std::collections::BTreeSet<_> =
                written.iter().map(|(_, id)| id.clone()).collect();
            prop_assert_eq!(ever, wanted);
            for (at, id) in &written {
                let within = |length: Duration| {
                    written.iter().filter(move |(other, _)| other >= at && *other < *at + length)
                };
                prop_assert!(within(SECOND).count() <= in_a_second);
                prop_assert_eq!(within(BETWEEN).filter(|(_, other)| other == id).count(), 1);
            }
        }
    }

    #[test]
    fn an_outcome_does_not_wait_for_what_numbers_wait_for() {
        let (mut pace, start) = (Pace::new(5), Instant::now());
        pace.want(&id(1), Urgency::Numbers, start);
        pace.want(&id(1), Urgency::Outcome, start + SECOND);
        // And the other way round: what was urgent stays so.
        pace.want(&id(1), Urgency::Numbers, start + SECOND);
        assert!(pace.due(start + SECOND).is_empty());
        assert_eq!(pace.due(start + 2 * SECOND), [id(1)]);
    }

    #[test]
    fn what_is_as_it_should_be_again_is_not_written() {
        let (mut pace, start) = (Pace::new(5), Instant::now());
        pace.want(&id(1), Urgency::Outcome, start);
        pace.forget(&id(1));
        assert!(pace.due(start + 2 * SECOND).is_empty());
    }
}
