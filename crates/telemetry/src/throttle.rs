//! Throttling of alerts, per rule and workload. Enforcement knows nothing of it.

use std::collections::HashMap;

use crate::account::AccountKey;

const SECOND: u64 = 1_000_000_000;

/// How many alerts a rule may raise in one workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// `alertThrottling`
    pub on: bool,
    /// `maxAlertPerSec`
    pub per_second: u32,
    /// `throttleSec`: how long a rule is silent after it has raised more.
    pub silence_seconds: u32,
}

impl Default for Limit {
    fn default() -> Self {
        Self { on: true, per_second: 10, silence_seconds: 30 }
    }
}

/// Whose alerts are counted together: one rule of one policy in one workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stream {
    pub account: AccountKey,
    /// Where in the policy the rule stands; the class of a posture.
    pub place: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Deliver,
    /// The limit is passed now: tell it once, drop the alert.
    Announce,
    Drop,
}

#[derive(Default)]
pub(crate) struct Throttle {
    windows: HashMap<Stream, Window>,
}

struct Window {
    start: u64,
    count: u32,
    silent_until: u64,
}

impl Throttle {
    /// `now` in nanoseconds of the monotonic clock.
    pub(crate) fn admit(&mut self, limit: Limit, stream: &Stream, now: u64) -> Verdict {
        if !limit.on {
            return Verdict::Deliver;
        }
        if !self.windows.contains_key(stream) {
            self.windows.insert(stream.clone(), Window { start: now, count: 0, silent_until: 0 });
        }
        let Some(window) = self.windows.get_mut(stream) else { return Verdict::Deliver };
        if now < window.silent_until {
            return Verdict::Drop;
        }
        if window.silent_until != 0 || now.saturating_sub(window.start) >= SECOND {
            *window = Window { start: now, count: 0, silent_until: 0 };
        }
        window.count += 1;
        if window.count <= limit.per_second {
            return Verdict::Deliver;
        }
        window.silent_until = now.saturating_add(u64::from(limit.silence_seconds) * SECOND).max(1);
        Verdict::Announce
    }

    /// Ends every silence, for when the limits change.
    pub(crate) fn clear(&mut self) {
        self.windows.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.windows.len()
    }

    pub(crate) fn forget(&mut self, workload: &str) {
        self.windows.retain(|stream, _| *stream.account.workload != *workload);
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdict::*, *};

    const LIMIT: Limit = Limit { on: true, per_second: 2, silence_seconds: 5 };

    fn stream(workload: &str, place: &str) -> Stream {
        Stream {
            account: AccountKey {
                workload: workload.into(),
                namespace: None,
                policy: "p".into(),
                kind: None,
                action: "Block",
            },
            place: place.into(),
        }
    }

    #[test]
    fn beyond_the_limit_one_announcement_then_silence() {
        let mut throttle = Throttle::default();
        let rule = stream("c", "a");
        let seen: Vec<_> = (0..5).map(|i| throttle.admit(LIMIT, &rule, 100 + i)).collect();
        assert_eq!(seen, [Deliver, Deliver, Announce, Drop, Drop]);
        assert_eq!(throttle.admit(LIMIT, &rule, 102 + 5 * SECOND), Deliver);
    }

    #[test]
    fn other_rules_and_workloads_go_on() {
        let mut throttle = Throttle::default();
        for now in 0..9 {
            throttle.admit(LIMIT, &stream("c", "a"), now);
        }
        assert_eq!(throttle.admit(LIMIT, &stream("c", "b"), 9), Deliver);
        assert_eq!(throttle.admit(LIMIT, &stream("d", "a"), 9), Deliver);
    }

    #[test]
    fn a_slow_stream_is_never_throttled() {
        let mut throttle = Throttle::default();
        let rule = stream("c", "a");
        assert!((0..50).all(|i| throttle.admit(LIMIT, &rule, i * SECOND / 2) == Deliver));
    }

    #[test]
    fn off_means_off() {
        let mut throttle = Throttle::default();
        let off = Limit { on: false, ..LIMIT };
        assert!((0..50).all(|i| throttle.admit(off, &stream("c", "a"), i) == Deliver));
    }
}
