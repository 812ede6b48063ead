//! `karmor top`: the rules and the workloads that raise most, with rates over a window.

mod accounts;
mod model;
mod view;
mod window;

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use anstream::AutoStream;
use clap::Args;
use serde_json::{Value, json};

use self::{
    model::{Order, RuleLine, Top, WorkloadLine},
    view::View,
};
use crate::{
    command::Agent,
    source::{Ended, Live, Streams, Until, Workloads, duration, watch},
    table,
    terminal::{self, Palette, shown},
};

/// How long is listened where nobody looks and nothing else was asked for.
const USUAL: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
#[command(
    after_help = "SEEN is what was told since this command has started; RAISED, THROTTLED and LOST are the agent's own accounts since it has started, for all workloads."
)]
pub(crate) struct Options {
    #[command(flatten)]
    agent: Agent,
    #[command(flatten)]
    only: Workloads,
    /// What rates are taken over
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s")]
    window: Duration,
    /// Listen for --duration (10s) or --limit, then print tables, in place of the live view
    #[arg(long)]
    once: bool,
    /// The same, printed as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    until: Until,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let mut source = Live::connect(&options.agent, Streams::AlertsAndLogs).await?;
    let address = source.address().to_owned();
    if terminal::is_there() && !options.once && !options.json {
        let accounts = accounts::follow(&options.agent);
        let only = options.only.clone();
        let mut view = View::new(options.window, only, accounts, &address, Palette::of_stdout());
        return terminal::show(&mut view, &mut source, options.until).await;
    }
    let mut until = options.until;
    if until.limit == 0 {
        until.duration.get_or_insert(USUAL);
    }
    eprintln!("watching {address}; ^C ends it");
    let (began, mut top) = (Instant::now(), Top::new(options.window));
    let ended = watch(&mut source, until, |event| {
        let counts = !event.is_own() && options.only.choose(&event);
        if counts {
            top.take(&event, began.elapsed());
        }
        counts
    })
    .await?;
    top.settle(accounts::ask(&options.agent).await);
    let at = began.elapsed();
    if options.json {
        writeln!(io::stdout(), "{:#}", document(&top, at, &ended))?;
    } else {
        text(&top, at, &mut AutoStream::auto(io::stdout()))?;
    }
    Ok(())
}

fn document(top: &Top, at: Duration, ended: &Ended) -> Value {
    let rules = top.rules(Order::default(), at);
    let workloads = top.workloads(Order::default(), at);
    json!({
        "Seconds": at.as_secs_f64(),
        "WindowSeconds": top.clock.window.as_secs(),
        "Events": top.events,
        "LeftOut": top.left_out,
        "ConnectionLost": ended.lost,
        "Rules": rules.iter().map(rule_json).collect::<Vec<_>>(),
        "Workloads": workloads.iter().map(workload_json).collect::<Vec<_>>(),
    })
}

fn rule_json(line: &RuleLine) -> Value {
    let account = line.account.map(|account| {
        json!({
            "Generated": account.generated,
            "Delivered": account.delivered,
            "Throttled": account.throttled,
            "Lost": account.lost,
        })
    });
    json!({
        "PolicyName": line.rule.policy,
        "Action": line.rule.action,
        "Operations": line.operations,
        "PerSecond": line.per_second,
        "InWindow": line.recent,
        "Seen": line.seen,
        "Agent": account,
        "Last": line.last,
    })
}

fn workload_json(line: &WorkloadLine) -> Value {
    json!({
        "NamespaceName": line.place.namespace,
        "PodName": line.place.pod,
        "ContainerName": line.place.container,
        "HostName": line.place.host,
        "AlertsPerSecond": line.alerts_per_second,
        "LogsPerSecond": line.logs_per_second,
        "Alerts": line.alerts,
        "Denied": line.denied,
        "Logs": line.logs,
        "Last": line.last,
    })
}

fn text(top: &Top, at: Duration, out: &mut dyn Write) -> io::Result<()> {
    let header =
        ["POLICY", "ACTION", "OPERATIONS", "/S", "SEEN", "RAISED", "THROTTLED", "LOST", "LAST"];
    let rules = top.rules(Order::default(), at).into_iter().map(|line| {
        let account = line.account.map(|a| [a.generated, a.throttled, a.lost]);
        let account = account.map_or(["-"; 3].map(str::to_owned), |all| all.map(|n| n.to_string()));
        let [raised, throttled, lost] = account;
        vec![
            shown(&line.rule.policy).into_owned(),
            shown(&line.rule.action).into_owned(),
            shown(&line.operations.join(",")).into_owned(),
            format!("{:.1}", line.per_second),
            line.seen.to_string(),
            raised,
            throttled,
            lost,
            line.last,
        ]
    });
    table::titled(out, "Rules", &header, rules)?;
    let header = ["WORKLOAD", "ALERTS/S", "LOGS/S", "ALERTS", "DENIED", "LOGS", "LAST"];
    let workloads = top.workloads(Order::default(), at).into_iter().map(|line| {
        vec![
            shown(&line.place.name).into_owned(),
            format!("{:.1}", line.alerts_per_second),
            format!("{:.1}", line.logs_per_second),
            line.alerts.to_string(),
            line.denied.to_string(),
            line.logs.to_string(),
            line.last,
        ]
    });
    table::titled(out, "Workloads", &header, workloads)?;
    if top.left_out > 0 {
        writeln!(out, "{} events have no line", top.left_out)?;
    }
    writeln!(out, "\n{} events in {} s", top.events, at.as_secs())
}
