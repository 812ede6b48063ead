//! What would be told too often: at most once a minute of each kind, with the number of those left out.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const SILENCE: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<BTreeMap<&'static str, Spoken>>);

#[derive(Debug, Default)]
struct Spoken {
    last: Option<Instant>,
    left_out: u64,
}

impl Seldom {
    /// How many to speak of, those that were left out before included; `None` if it is too early to speak again.
    pub(crate) fn due(&self, subject: &'static str, count: u64, now: Instant) -> Option<u64> {
        let mut subjects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spoken = subjects.entry(subject).or_default();
        spoken.left_out += count;
        if spoken.last.is_some_and(|last| now.duration_since(last) < SILENCE) {
            return None;
        }
        spoken.last = Some(now);
        Some(std::mem::take(&mut spoken.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_minute_of_each_kind_and_the_others_are_counted() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        let after = |seconds| seldom.due("a", 2, start + Duration::from_secs(seconds));
        assert_eq!([after(0), after(1), after(59), after(60)], [Some(2), None, None, Some(6)]);
        assert_eq!(seldom.due("b", 1, start), Some(1));
    }
}
