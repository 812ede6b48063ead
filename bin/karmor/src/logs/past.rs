//! `karmor logs --since`: what the agent has kept.

use std::{str::FromStr, time::Duration};

use anyhow::Context as _;
use feed::{client::Client, proto::history::history_event::Event as Kept};
use jiff::{SpanRelativeTo, Timestamp};

use super::{Event, Printer};
use crate::command::LogOptions;

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
    fn micros(self, now: Timestamp) -> i64 {
        match self {
            Self::At(at) => at.as_microsecond(),
            Self::Ago(ago) => {
                let ago = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
                now.as_microsecond().saturating_sub(ago)
            }
        }
    }
}

/// Prints what happened between `--since` and `--until`, at most `--limit` of what comes.
pub(super) async fn show(
    client: &Client,
    options: &LogOptions,
    printer: &mut Printer<'_>,
) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let since = options.since.map_or(0, |since| since.micros(now));
    let until = options.until.map_or(i64::MAX, |until| until.micros(now));
    let mut events = client.history(since, until, options.log_filter.as_str()).await?;
    let mut received = 0;
    while options.limit == 0 || received < options.limit {
        let Some(event) = events.message().await.context("the history broke off")? else { break };
        received += 1;
        match event.event {
            Some(Kept::Alert(alert)) => printer.print(&Event::Alert(Box::new(alert)))?,
            Some(Kept::Log(log)) => printer.print(&Event::Log(Box::new(log)))?,
            None => {}
        }
    }
    Ok(())
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
