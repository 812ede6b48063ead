//! How long is waited before an agent is tried again: longer each time, and never all at once.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(15);

/// The pauses of one agent.
#[derive(Debug)]
pub(crate) struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Pauses {
    /// Between half of it and all of it, by `chance` from 0 to 1: agents that went away together are not asked together.
    pub(crate) fn next(&mut self, chance: f64) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        (pause / 2).saturating_add((pause / 2).mul_f64(chance.clamp(0.0, 1.0)))
    }

    /// It answers.
    pub(crate) fn reset(&mut self) {
        self.0 = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew() {
        let mut pauses = Pauses::default();
        assert_eq!(pauses.next(1.0), FIRST);
        assert_eq!(pauses.next(0.0), FIRST);
        assert_eq!(pauses.next(0.5), FIRST * 3);
        for _ in 0..10 {
            pauses.next(0.3);
        }
        assert_eq!((pauses.next(1.0), pauses.next(0.0)), (LONGEST, LONGEST / 2));
        pauses.reset();
        assert_eq!(pauses.next(1.0), FIRST);
    }
}
