//! `karmor logs --since`: what the agent has kept.

use anyhow::Context as _;
use feed::{client::Client, proto::history::history_event::Event as Kept};
use jiff::Timestamp;

use super::{Event, Printer};
use crate::command::LogOptions;

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
