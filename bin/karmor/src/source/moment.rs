//! Points in time as people write them.

use std::{str::FromStr, time::Duration};

use jiff::{SpanRelativeTo, Timestamp};

/// A point in time: RFC 3339, or how long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    At(Timestamp),
    Ago(Duration),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        let span: jiff::Span = text.parse().map_err(|_| {
            format!("`{text}` is no time: write 30m, 1h, 2d, or 2026-11-30T20:00:00Z")
        })?;
        span.to_duration(SpanRelativeTo::days_are_24_hours())
            .ok()
            .and_then(|duration| Duration::try_from(duration).ok())
            .map(Self::Ago)
            .ok_or_else(|| format!("`{text}` is no time ago: write 30m, 1h or 2d"))
    }
}

impl Moment {
    /// In microseconds since 1970.
    pub(crate) fn micros(self, now: Timestamp) -> i64 {
        match self {
            Self::At(at) => at.as_microsecond(),
            Self::Ago(ago) => {
                let ago = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
                now.as_microsecond().saturating_sub(ago)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_write_them() {
        let now: Timestamp = "2026-11-30T20:00:00Z".parse().unwrap();
        for (text, seconds) in [("90s", 90), ("1h", 3600), ("1h30m", 5400), ("2d", 172_800)] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(moment.micros(now), now.as_microsecond() - seconds * 1_000_000, "{text}");
        }
        let at: Moment = "2026-11-30T21:00:00+01:00".parse().unwrap();
        assert_eq!(at.micros(now), now.as_microsecond());
        for text in ["", "yesterday", "1", "-1h", "2026-11-30"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
