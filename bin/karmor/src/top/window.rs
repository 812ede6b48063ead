//! How much happened lately: counts in the last stretch of time, in memory of a fixed size.

use std::time::Duration;

const STEPS: usize = 30;

/// Divides time into steps, of which [`STEPS`] make up the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) window: Duration,
}

/// What happened within the window.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    steps: [u64; STEPS],
    /// The number of the newest step.
    newest: u64,
}

impl Clock {
    /// `at` is the time since the beginning.
    fn step(self, at: Duration) -> u64 {
        let length = (self.window.as_millis() / STEPS as u128).max(1);
        u64::try_from(at.as_millis() / length).unwrap_or(u64::MAX)
    }

    /// Per second, over the window or, at the beginning, over what there is of it.
    pub(super) fn per_second(self, count: u64, at: Duration) -> f64 {
        let seconds = at.min(self.window).as_secs_f64().max(1.0);
        #[expect(clippy::cast_precision_loss, reason = "it is shown with one decimal")]
        let count = count as f64;
        count / seconds
    }
}

impl Recent {
    pub(super) fn add(&mut self, clock: Clock, at: Duration, count: u64) {
        self.advance(clock.step(at));
        self.steps[slot(self.newest)] += count;
    }

    pub(super) fn count(&self, clock: Clock, at: Duration) -> u64 {
        let now = clock.step(at).max(self.newest);
        // Steps that are older than the window hold what is over.
        let gone = usize::try_from(now - self.newest).unwrap_or(STEPS).min(STEPS);
        (0..STEPS - gone)
            .map(|back| back as u64)
            .filter(|&back| back <= self.newest)
            .map(|back| self.steps[slot(self.newest - back)])
            .sum()
    }

    fn advance(&mut self, now: u64) {
        let passed = now.saturating_sub(self.newest);
        for step in (0..passed.min(STEPS as u64)).map(|back| now - back) {
            self.steps[slot(step)] = 0;
        }
        self.newest = self.newest.max(now);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "less than STEPS")]
fn slot(step: u64) -> usize {
    (step % STEPS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: Clock = Clock { window: Duration::from_secs(30) };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_older_than_the_window_is_over() {
        let mut recent = Recent::default();
        recent.add(CLOCK, at(0), 1);
        recent.add(CLOCK, at(10), 2);
        recent.add(CLOCK, at(10), 4);
        assert_eq!(recent.count(CLOCK, at(10)), 7);
        assert_eq!(recent.count(CLOCK, at(29)), 7);
        assert_eq!(recent.count(CLOCK, at(30)), 6);
        assert_eq!(recent.count(CLOCK, at(39)), 6);
        assert_eq!(recent.count(CLOCK, at(40)), 0);
        recent.add(CLOCK, at(1000), 8);
        assert_eq!(recent.count(CLOCK, at(1000)), 8);
    }

    #[test]
    fn rates_are_over_the_time_there_is() {
        let near = |rate: f64, expected: f64| assert!((rate - expected).abs() < 1e-9, "{rate}");
        near(CLOCK.per_second(60, at(0)), 60.0);
        near(CLOCK.per_second(60, at(10)), 6.0);
        near(CLOCK.per_second(60, at(90)), 2.0);
    }
}
