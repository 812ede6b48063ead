//! How long to wait before a peer is tried again: twice as long each time, with jitter, so that a peer that comes back
//! is not met by all agents at once.

use std::time::Duration;

use crate::config::Retry;

#[derive(Debug)]
pub(crate) struct Backoff {
    retry: Retry,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(retry: Retry) -> Self {
        Self { retry, failures: 0 }
    }

    /// The peer has taken something.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// After one more failure; `asked` is what the peer asked for, which is heeded up to the longest wait.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Duration {
        self.next_with(asked, fastrand::f64())
    }

    /// `chance` is from 0 to 1: the wait is between half of the step and the whole.
    fn next_with(&mut self, asked: Option<Duration>, chance: f64) -> Duration {
        let longest = Duration::from_millis(self.retry.max_millis);
        let first = Duration::from_millis(self.retry.initial_millis);
        let step = first.saturating_mul(2_u32.saturating_pow(self.failures)).min(longest);
        self.failures = self.failures.saturating_add(1);
        let wait = step.mul_f64(0.5 + chance / 2.0);
        asked.map_or(wait, |asked| wait.max(asked.min(longest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new(Retry { initial_millis: 100, max_millis: 1000 });
        let millis = |wait: Duration| wait.as_millis();
        let waits = [1.0; 6].map(|chance| millis(backoff.next_with(None, chance)));
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        backoff.reset();
        assert_eq!(millis(backoff.next_with(None, 0.0)), 50);
        assert_eq!(millis(backoff.next_with(Some(Duration::from_millis(700)), 0.0)), 700);
        assert_eq!(millis(backoff.next_with(Some(Duration::from_hours(1)), 0.0)), 1000);
        for _ in 0..100 {
            assert!(backoff.next(None) <= Duration::from_secs(1));
        }
    }
}
