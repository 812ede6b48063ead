//! Log lines that any peer can cause: at most one a minute of each kind, with the number of those left out.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

const SILENCE: Duration = Duration::from_mins(1);

/// When one kind of line was last written.
#[derive(Default)]
pub(crate) struct Seldom(Mutex<Spoken>);

#[derive(Default)]
struct Spoken {
    last: Option<Instant>,
    left_out: u64,
}

impl Seldom {
    /// Warns of `text` now, or counts it.
    pub(crate) fn warn(&self, text: &str) {
        match self.left_out_by(Instant::now()) {
            Some(0) => tracing::warn!("{text}"),
            Some(others) => tracing::warn!("{text} (and {others} others before it)"),
            None => tracing::debug!("{text}"),
        }
    }

    /// How many were left out since the last one that was written; `None` if this one is to be left out too.
    fn left_out_by(&self, now: Instant) -> Option<u64> {
        // Nothing panics while it is held.
        let mut spoken = self.0.lock().ok()?;
        if spoken.last.is_some_and(|last| now.duration_since(last) < SILENCE) {
            spoken.left_out += 1;
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
    fn one_a_minute_and_the_others_are_counted() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        let after = |seconds| seldom.left_out_by(start + Duration::from_secs(seconds));
        assert_eq!([after(0), after(1), after(59)], [Some(0), None, None]);
        assert_eq!([after(60), after(61), after(200)], [Some(2), None, Some(1)]);
    }
}
