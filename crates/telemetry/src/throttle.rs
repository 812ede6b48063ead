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
    /// With the number of alerts that were dropped since the last that was delivered.
    Deliver(u64),
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
    /// Dropped, and not told yet.
    suppressed: u64,
}

impl Window {
    fn new(start: u64, suppressed: u64) -> Self {
        Self { start, count: 0, silent_until: 0, suppressed }
    }

    fn is_over(&self, now: u64) -> bool {
        match self.silent_until {
            0 => now.saturating_sub(self.start) >= SECOND,
            until => now >= until,
        }
    }
}

impl Throttle {
    /// `now` in nanoseconds of the monotonic clock.
    pub(crate) fn admit(&mut self, limit: Limit, stream: &Stream, now: u64) -> Verdict {
        if !limit.on {
            let window = self.windows.remove(stream);
            return Verdict::Deliver(window.map_or(0, |window| window.suppressed));
        }
        if !self.windows.contains_key(stream) {
            self.windows.insert(stream.clone(), Window::new(now, 0));
        }
        let Some(window) = self.windows.get_mut(stream) else { return Verdict::Deliver(0) };
        if window.is_over(now) {
            *window = Window::new(now, window.suppressed);
        }
        if window.silent_until != 0 {
            window.suppressed += 1;
            return Verdict::Drop;
        }
        window.count += 1;
        if window.count <= limit.per_second {
            return Verdict::Deliver(std::mem::take(&mut window.suppressed));
        }
        window.suppressed += 1;
        window.silent_until = now.saturating_add(u64::from(limit.silence_seconds) * SECOND).max(1);
        Verdict::Announce
    }

    /// Ends every silence, for when the limits change. What was dropped is told all the same.
    pub(crate) fn clear(&mut self) {
        self.windows.retain(|_, window| window.suppressed > 0);
        for window in self.windows.values_mut() {
            *window = Window::new(0, window.suppressed);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.windows.len()
    }

    /// What was dropped by streams whose silence is over and that have raised nothing since. Told once; streams that
    /// have come to rest are forgotten.
    pub(crate) fn untold(&mut self, now: u64) -> Vec<(Stream, u64)> {
        self.end(|_, window| window.is_over(now))
    }

    /// The same of a workload that has ended.
    pub(crate) fn forget(&mut self, workload: &str) -> Vec<(Stream, u64)> {
        self.end(|stream, _| *stream.account.workload == *workload)
    }

    fn end(&mut self, is_over: impl Fn(&Stream, &Window) -> bool) -> Vec<(Stream, u64)> {
        self.windows
            .extract_if(|stream, window| is_over(stream, window))
            .filter(|(_, window)| window.suppressed > 0)
            .map(|(stream, window)| (stream, window.suppressed))
            .collect()
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
        assert_eq!(seen, [Deliver(0), Deliver(0), Announce, Drop, Drop]);
        assert_eq!(throttle.admit(LIMIT, &rule, 102 + 5 * SECOND), Deliver(3));
        assert_eq!(throttle.admit(LIMIT, &rule, 103 + 5 * SECOND), Deliver(0), "told once");
    }

    #[test]
    fn what_no_alert_tells_any_more_is_told_by_itself() {
        let mut throttle = Throttle::default();
        let rule = stream("c", "a");
        for now in 0..7 {
            throttle.admit(LIMIT, &rule, now);
        }
        assert!(throttle.untold(5 * SECOND).is_empty(), "it is still silent");
        assert_eq!(throttle.untold(6 * SECOND), [(rule.clone(), 5)]);
        assert!(throttle.untold(60 * SECOND).is_empty(), "told once");
        for now in 0..7 {
            throttle.admit(LIMIT, &rule, now);
        }
        throttle.clear();
        assert_eq!(throttle.forget("c"), [(rule, 5)]);
    }

    #[test]
    fn streams_at_rest_take_no_memory() {
        let mut throttle = Throttle::default();
        throttle.admit(LIMIT, &stream("c", "a"), 0);
        assert!(throttle.untold(SECOND).is_empty());
        assert!(throttle.windows.is_empty());
    }

    #[test]
    fn other_rules_and_workloads_go_on() {
        let mut throttle = Throttle::default();
        for now in 0..9 {
            throttle.admit(LIMIT, &stream("c", "a"), now);
        }
        assert_eq!(throttle.admit(LIMIT, &stream("c", "b"), 9), Deliver(0));
        assert_eq!(throttle.admit(LIMIT, &stream("d", "a"), 9), Deliver(0));
    }

    #[test]
    fn a_slow_stream_is_never_throttled() {
        let mut throttle = Throttle::default();
        let rule = stream("c", "a");
        assert!((0..50).all(|i| throttle.admit(LIMIT, &rule, i * SECOND / 2) == Deliver(0)));
    }

    #[test]
    fn off_means_off() {
        let mut throttle = Throttle::default();
        let off = Limit { on: false, ..LIMIT };
        assert!((0..50).all(|i| throttle.admit(off, &stream("c", "a"), i) == Deliver(0)));
    }
}
