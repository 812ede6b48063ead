//! `karmor profile`: what the processes of each container do, counted, live on a terminal or as one document.

mod draw;
mod export;
mod model;
mod view;

use std::io::{self, Write};

use clap::Args;
use serde_json::{Map, Value, json};

use self::{
    model::{Class, Grouping, Order, Profile},
    view::View,
};
use crate::{
    command::Agent,
    event::Event,
    source::{Ended, Live, Source, Streams, Until, watch},
    table,
    terminal::{self, Palette, shown},
};

#[derive(Debug, Args)]
#[command(
    after_help = "Of what no policy speaks, the agent tells only the classes that its key `visibility` names."
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Options {
    #[command(flatten)]
    agent: Agent,
    #[command(flatten)]
    only: Only,
    /// Also count what raised an alert
    #[arg(long)]
    alerts: bool,
    /// A row for each resource and result, not for all that a process does
    #[arg(long)]
    resources: bool,
    /// Write ProfileSummary/OPERATION.json at the end
    #[arg(long)]
    save: bool,
    /// Print one JSON object at the end, in place of the live view
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    until: Until,
}

/// Names that must be equal.
#[derive(Clone, Debug, Default, Args)]
struct Only {
    /// Only this namespace
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Only this pod
    #[arg(long, value_name = "NAME")]
    pod: Option<String>,
    /// Only this container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
}

impl Only {
    fn choose(&self, event: &Event) -> bool {
        let is = |wanted: &Option<String>, name: &String| {
            wanted.as_ref().is_none_or(|wanted| wanted.is_empty() || wanted == name)
        };
        is(&self.namespace, &event.namespace)
            && is(&self.pod, &event.pod)
            && is(&self.container, &event.container)
    }
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let streams = if options.alerts { Streams::AlertsAndLogs } else { Streams::Logs };
    let grouping = if options.resources { Grouping::Apart } else { Grouping::Together };
    let mut source = Live::connect(&options.agent, streams).await?;
    let address = source.address().to_owned();
    if terminal::is_there() && !options.json {
        let mut view = View::new(options.only.clone(), &address, grouping, Palette::of_stdout());
        terminal::show(&mut view, &mut source, options.until).await?;
        return save(options, &view.profile, view.grouping);
    }
    eprintln!("watching {address}; ^C ends it");
    let mut profile = Profile::default();
    let ended = count(options, &mut source, &mut profile).await?;
    if options.json {
        writeln!(io::stdout(), "{:#}", document(&profile, grouping, &ended))?;
    } else {
        text(&profile, grouping, &mut anstream::AutoStream::auto(io::stdout()))?;
    }
    save(options, &profile, grouping)
}

async fn count(
    options: &Options,
    source: &mut impl Source,
    profile: &mut Profile,
) -> anyhow::Result<Ended> {
    watch(source, options.until, |event| options.only.choose(&event) && profile.take(&event)).await
}

fn save(options: &Options, profile: &Profile, grouping: Grouping) -> anyhow::Result<()> {
    let classes = Class::ALL.into_iter().filter(|_| options.save);
    for class in classes {
        let rows = profile.rows(class, grouping).sorted("", Order::default());
        if !rows.is_empty() {
            eprintln!("written: {}", export::write(class, rows)?.display());
        }
    }
    Ok(())
}

/// By class the rows as they are exported, and what is not among them.
fn document(profile: &Profile, grouping: Grouping, ended: &Ended) -> Value {
    let classes = Class::ALL.into_iter().map(|class| {
        let rows = profile.rows(class, grouping);
        (class.as_str().to_owned(), export::json(rows.sorted("", Order::default())))
    });
    let left_out: u64 =
        Class::ALL.into_iter().map(|class| profile.rows(class, grouping).left_out).sum();
    json!({
        "Profile": classes.collect::<Map<_, _>>(),
        "Events": profile.events,
        "LeftOut": left_out,
        "ConnectionLost": ended.lost,
    })
}

fn text(profile: &Profile, grouping: Grouping, out: &mut dyn Write) -> io::Result<()> {
    for class in Class::ALL {
        let rows = profile.rows(class, grouping);
        let header = ["NAMESPACE", "CONTAINER", "PROCESS", "RESOURCE", "RESULT", "COUNT", "LAST"];
        let cells = rows.sorted("", Order::default()).into_iter().map(|row| {
            let texts = [&row.namespace, &row.container, &row.process, &row.resource, &row.result];
            let texts = texts.map(|text| shown(text).into_owned());
            [&texts[..], &[row.count.to_string(), row.time.clone()]].concat()
        });
        table::titled(out, class.as_str(), &header, cells)?;
        if rows.left_out > 0 {
            writeln!(out, "{} events more have no row", rows.left_out)?;
        }
    }
    writeln!(out, "\n{} events", profile.events)
}
