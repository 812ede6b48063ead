//! `karmor policy simulate`: what policies that are not applied would have decided about what was recorded, or about
//! what an agent tells now.

mod event;
mod report;
mod tally;

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anstream::AutoStream;
use anyhow::Context;
use clap::Args;
use serde_json::Value;
use tokio::time::{Instant, interval, sleep_until};
use tokio_stream::StreamExt;

use self::{report::Report, tally::Tally};
use super::{Outcome, context::Surroundings, set::PolicySet};
use crate::{command::Agent, source::duration};

pub(super) const EXIT_STATUS: &str = "The policies are judged as if they alone were in force.

Exit status: 0 all would be as recorded, 1 something would change, 2 failed or wrong usage.

Examples: karmor policy simulate new.yaml --log /var/log/kubearmor.json
          karmor policy simulate policies/ --live --for 10m";

/// As good as for ever.
const LONG: Duration = Duration::from_hours(365 * 24);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Files or directories of policies
    #[arg(required = true, value_name = "POLICIES")]
    policies: Vec<PathBuf>,
    /// JSON lines, as `karmor logs --json` prints them or the agent's logPath holds them; `-` is standard input
    #[arg(long, value_name = "FILE", required_unless_present = "live", conflicts_with = "live")]
    log: Vec<PathBuf>,
    /// Listen to an agent until ^C
    #[arg(long)]
    live: bool,
    /// How long to listen, such as 30s, 10m or 2h
    #[arg(long = "for", value_name = "TIME", value_parser = duration, requires = "live")]
    period: Option<Duration>,
    #[command(flatten)]
    agent: Agent,
    /// Show so many changes at most; 0 shows all
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    surroundings: Surroundings,
}

pub(super) fn run(options: &Options) -> anyhow::Result<Outcome> {
    let set = PolicySet::read(&options.policies)?;
    let filesystem = options.surroundings.filesystem()?;
    let links = filesystem.links(&set.policies);
    let mut tally = Tally::default();
    if options.live {
        crate::wait_for(listen(options, &mut tally))?;
    }
    for log in &options.log {
        read(log, &mut tally)?;
    }
    let report = Report::of(tally, &set, &options.surroundings, &links, filesystem.is_known())?;
    if options.json {
        writeln!(io::stdout(), "{:#}", report.json(&set))?;
    } else {
        report.text(&set, options.limit, &mut AutoStream::auto(io::stdout()))?;
    }
    Ok(if report.changes.is_empty() { Outcome::Clean } else { Outcome::Findings })
}

fn read(path: &Path, tally: &mut Tally) -> anyhow::Result<()> {
    let name = path.display().to_string();
    let input: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
        Box::new(BufReader::new(file))
    };
    for (number, line) in (1_u64..).zip(input.split(b'\n')) {
        let line = line.with_context(|| format!("cannot read {name}"))?;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let place = || format!("{name}:{number}");
        match serde_json::from_slice::<Value>(&line) {
            Ok(value) => tally.take(&value, place),
            Err(_) => tally.refuse("is no JSON object", place),
        }
    }
    Ok(())
}

/// Until ^C, the end of the time, or the end of the agent.
async fn listen(options: &Options, tally: &mut Tally) -> anyhow::Result<()> {
    let client = options.agent.connect().await?;
    let alerts =
        client.alerts("all").await?.map(|item| item.map(|alert| serde_json::to_value(&alert)));
    let logs = client.logs("all").await?.map(|item| item.map(|log| serde_json::to_value(&log)));
    let mut events = alerts.merge(logs);
    eprintln!("watching {}; ^C ends it", client.address());
    let end = sleep_until(Instant::now() + options.period.unwrap_or(LONG));
    tokio::pin!(end);
    let mut progress = interval(Duration::from_secs(1));
    let shows = io::stderr().is_terminal();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => tally.take(&event?, || "live".to_owned()),
                // What came before is worth a report all the same.
                Some(Err(status)) => {
                    eprintln!("the stream broke off: {}", status.message());
                    break;
                }
                None => {
                    eprintln!("the agent has ended the stream");
                    break;
                }
            },
            _ = tokio::signal::ctrl_c() => break,
            () = &mut end => break,
            _ = progress.tick(), if shows => eprint!("\r{} events", tally.events),
        }
    }
    if shows {
        eprintln!("\r{} events", tally.events);
    }
    Ok(())
}
