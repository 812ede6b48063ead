//! `karmor logs`: watches the streams, asks the history or reads files, filters, prints.

mod destination;
mod file;
mod filter;
mod follow;
mod past;
mod text;

use feed::proto::{
    feeder::{Alert, Log, Message},
    go_json, go_json_pretty,
};
use tokio::{sync::mpsc, task::JoinSet};

pub(crate) use destination::Destination;

use self::{
    destination::Output,
    follow::{Followed, What},
};
use crate::{
    command::{Filter, Format, LogOptions},
    endpoint::aloud,
};

/// Events that wait to be printed; then the streams wait.
const QUEUE: usize = 256;

enum Event {
    Alert(Box<Alert>),
    Log(Box<Log>),
    Message(Message),
}

pub(crate) async fn run(options: &LogOptions) -> anyhow::Result<()> {
    let mut printer =
        Printer { options, output: options.log_path.open()?, messages: options.msg_path.open()? };
    if !options.file.is_empty() {
        return file::show(options, &mut printer);
    }
    let client = options.agent.connect_for_events(aloud).await?;
    if options.since.is_some() || options.until.is_some() {
        return past::show(&client, options, &mut printer).await;
    }
    let (sender, mut events) = mpsc::channel(QUEUE);
    // The messages end together with what they accompany.
    let (mut watching, mut beside) = (JoinSet::new(), JoinSet::new());
    for (what, filter) in streams(options) {
        let stream = Followed::begin(&client, what, filter).await?;
        watching.spawn(stream.forward(options.limit, sender.clone()));
    }
    if !options.msg_path.is_none() {
        let stream = Followed::begin(&client, What::Messages, "").await?;
        let alone = watching.is_empty();
        let tasks = if alone { &mut watching } else { &mut beside };
        tasks.spawn(stream.forward(0, sender.clone()));
    }
    eprintln!("watching {}", client.address());
    while !watching.is_empty() {
        tokio::select! {
            Some(event) = events.recv() => printer.print(&event)?,
            Some(ended) = watching.join_next() => ended??,
        }
    }
    drop(beside);
    while let Ok(event) = events.try_recv() {
        printer.print(&event)?;
    }
    Ok(())
}

/// What the options ask for, and the filter to ask for it by.
fn streams(options: &LogOptions) -> Vec<(What, &'static str)> {
    if options.log_path.is_none() {
        return Vec::new();
    }
    let filter = options.log_filter.as_str();
    match options.log_filter {
        Filter::Policy => vec![(What::Alerts, filter)],
        Filter::System => vec![(What::Logs, filter)],
        Filter::All => vec![(What::Alerts, filter), (What::Logs, filter)],
    }
}

struct Printer<'a> {
    options: &'a LogOptions,
    output: Output,
    messages: Output,
}

impl Printer<'_> {
    fn print(&mut self, event: &Event) -> anyhow::Result<()> {
        if let Event::Message(message) = event {
            return Ok(self.messages.line(&text::message(message))?);
        }
        if let Some(shown) = shown(event, self.options)? {
            self.output.line(&shown)?;
        }
        Ok(())
    }
}

/// The text of an event that passes the filters.
fn shown(event: &Event, options: &LogOptions) -> anyhow::Result<Option<String>> {
    let format = if options.json { Format::Json } else { options.output };
    Ok(match event {
        Event::Alert(alert) if filter::passes(&alert.as_ref().into(), options) => {
            Some(print(alert, "Alert", &alert.updated_time, format)?)
        }
        Event::Log(log) if filter::passes(&log.as_ref().into(), options) => {
            Some(print(log, "Log", &log.updated_time, format)?)
        }
        _ => None,
    })
}

fn print(
    event: &impl serde::Serialize,
    what: &str,
    updated_time: &str,
    format: Format,
) -> anyhow::Result<String> {
    Ok(match format {
        Format::Json => go_json(event)?,
        Format::PrettyJson => go_json_pretty(event)?,
        Format::Text => text::event(&serde_json::to_value(event)?, what, updated_time),
    })
}
