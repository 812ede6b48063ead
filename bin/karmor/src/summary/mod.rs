//! `karmor summary`: what workloads ran, read, wrote and connected to, and what was denied to them.

mod doing;
mod model;
mod report;

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use anstream::AutoStream;
use clap::{Args, ValueEnum};

use self::{
    doing::Kind,
    model::{Manner, Summary},
};
use crate::{
    command::Agent,
    source::{Ended, Lines, Live, Source, Streams, Until, Workloads, watch},
};

/// How long is listened if nothing else was asked for.
const USUAL: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
#[command(
    after_help = "Of what no policy speaks, the agent tells only the classes that its key `visibility` names.

Examples: karmor summary -n shop --duration 5m
          karmor summary --file /var/log/kubearmor.json --agg"
)]
pub(crate) struct Options {
    #[command(flatten)]
    agent: Agent,
    #[command(flatten)]
    only: Workloads,
    /// Read JSON lines, as `karmor logs --json` prints them or the agent's logPath holds them, in place of listening; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// What to tell of
    #[arg(short = 't', long = "type", value_enum, value_delimiter = ',', value_name = "CLASS")]
    classes: Vec<Class>,
    /// Count files by their directories
    #[arg(long)]
    agg: bool,
    /// The same as -o json
    #[arg(long)]
    json: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
    #[command(flatten)]
    until: Until,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Class {
    Process,
    File,
    Network,
    Capabilities,
    Syscall,
    /// What policies denied or audited
    Policy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    /// One object
    Json,
}

impl Class {
    fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Process => &[Kind::Ran],
            Self::File => &[Kind::Read, Kind::Wrote],
            Self::Network => &[Kind::Connected, Kind::Listened, Kind::Socket],
            Self::Capabilities => &[Kind::Capability],
            Self::Syscall => &[Kind::Syscall],
            Self::Policy => &[Kind::Denied, Kind::Audited],
        }
    }
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let mut summary = Summary::default();
    let ended = if options.file.is_empty() {
        let mut source = Live::connect(&options.agent, Streams::AlertsAndLogs).await?;
        let mut until = options.until;
        if until.limit == 0 {
            let time = *until.duration.get_or_insert(USUAL);
            eprintln!("watching {} for {} s; ^C ends it", source.address(), time.as_secs());
        } else {
            eprintln!("watching {}; ^C ends it", source.address());
        }
        sum(options, until, &mut source, &mut summary).await?
    } else {
        let mut source = Lines::of(options.file.clone());
        let ended = sum(options, options.until, &mut source, &mut summary).await?;
        source.finish()?;
        ended
    };
    if options.json || options.output == Format::Json {
        writeln!(io::stdout(), "{:#}", report::json(&summary, &ended))?;
    } else {
        report::text(&summary, &ended, &mut AutoStream::auto(io::stdout()))?;
    }
    Ok(())
}

async fn sum(
    options: &Options,
    until: Until,
    source: &mut impl Source,
    summary: &mut Summary,
) -> anyhow::Result<Ended> {
    let kinds = options.classes.iter().flat_map(|class| class.kinds()).copied().collect();
    let manner = Manner { kinds, by_directory: options.agg };
    watch(source, until, |event| {
        let counts = !event.is_own() && options.only.choose(&event);
        if counts {
            summary.take(&event, &manner);
        }
        counts
    })
    .await
}
