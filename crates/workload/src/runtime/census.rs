//! Whether all that runs on the node has been told, as far as several runtimes can tell.

use crate::container::WorkloadEvent;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not asked yet.
    #[default]
    Open,
    /// There is no such runtime.
    Absent,
    /// It is there, or should be, and does not answer.
    Away,
    /// It has told all that it had when it was asked last.
    Told,
}

/// What is known of each runtime.
#[derive(Debug)]
pub(super) struct Census(Vec<Standing>);

impl Census {
    pub(super) fn new(runtimes: usize) -> Self {
        Self(vec![Standing::Open; runtimes])
    }

    /// Notes where a runtime stands; returns what this means for the whole, if anything.
    pub(super) fn note(&mut self, runtime: usize, standing: Standing) -> Option<WorkloadEvent> {
        let known = self.0.get_mut(runtime)?;
        let before = std::mem::replace(known, standing);
        if self.0.contains(&Standing::Open) {
            return None;
        }
        let away = self.0.contains(&Standing::Away);
        match (away, before == standing) {
            (true, true) => None,
            (true, false) => Some(WorkloadEvent::RuntimeAway),
            (false, _) => Some(WorkloadEvent::Scanned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_told_when_every_runtime_that_is_there_has_told() {
        let mut census = Census::new(3);
        assert_eq!(census.note(0, Standing::Told), None);
        assert_eq!(census.note(1, Standing::Absent), None);
        assert_eq!(census.note(2, Standing::Told), Some(WorkloadEvent::Scanned));
        assert_eq!(census.note(1, Standing::Told), Some(WorkloadEvent::Scanned), "it came later");
    }

    #[test]
    fn a_runtime_that_does_not_answer_is_told_once() {
        let mut census = Census::new(2);
        assert_eq!(census.note(0, Standing::Away), None);
        assert_eq!(census.note(1, Standing::Told), Some(WorkloadEvent::RuntimeAway));
        assert_eq!(census.note(1, Standing::Told), None);
        assert_eq!(census.note(0, Standing::Away), None);
        assert_eq!(census.note(0, Standing::Told), Some(WorkloadEvent::Scanned));
        assert_eq!(census.note(0, Standing::Away), Some(WorkloadEvent::RuntimeAway));
    }

    #[test]
    fn without_any_runtime_there_is_nothing_to_wait_for() {
        let mut census = Census::new(1);
        assert_eq!(census.note(0, Standing::Absent), Some(WorkloadEvent::Scanned));
    }
}
