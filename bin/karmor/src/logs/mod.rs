//! `karmor logs`: watches the streams, filters, prints.

mod destination;
mod filter;
mod text;

use std::pin::Pin;

use anyhow::Context;
use feed::{
    client::Client,
    proto::{
        feeder::{Alert, Log, Message},
        go_json, go_json_pretty,
    },
};
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

pub(crate) use destination::Destination;

use crate::command::{Filter, Format, LogOptions};

/// What the streams bring, merged.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Event {
    Alert(Alert),
    Log(Log),
    Message(Message),
}

type Events = Pin<Box<dyn Stream<Item = Result<Event, Status>>>>;

pub(crate) async fn run(options: &LogOptions) -> anyhow::Result<()> {
    let client = options.agent.connect().await?;
    let mut events = watch(&client, options).await?;
    eprintln!("watching {}", client.address());
    let mut output = options.log_path.open()?;
    let mut messages = options.msg_path.open()?;
    while let Some(event) = events.next().await {
        match event.context("the stream broke off")? {
            Event::Message(message) => messages.line(&text::message(&message))?,
            event => {
                if let Some(shown) = shown(&event, options)? {
                    output.line(&shown)?;
                }
            }
        }
    }
    if options.limit == 0 {
        anyhow::bail!("the agent has ended the stream");
    }
    Ok(())
}

/// The streams that the options ask for. With a limit each of alerts and logs ends after so many.
async fn watch(client: &Client, options: &LogOptions) -> anyhow::Result<Events> {
    let limit = match options.limit {
        0 => usize::MAX,
        limit => usize::try_from(limit)?,
    };
    let mut streams: Vec<Events> = Vec::new();
    if !options.log_path.is_none() {
        let (alerts, logs, filter) = match options.log_filter {
            Filter::Policy => (true, false, "policy"),
            Filter::System => (false, true, "system"),
            Filter::All => (true, true, "all"),
        };
        if alerts {
            let alerts = client.alerts(filter).await?.take(limit);
            streams.push(Box::pin(alerts.map(|item| item.map(Event::Alert))));
        }
        if logs {
            let logs = client.logs(filter).await?.take(limit);
            streams.push(Box::pin(logs.map(|item| item.map(Event::Log))));
        }
    }
    let messages: Option<Events> = if options.msg_path.is_none() {
        None
    } else {
        let messages = client.messages().await?;
        Some(Box::pin(messages.map(|item| item.map(Event::Message))))
    };
    let events: Option<Events> = streams.into_iter().reduce(|a, b| Box::pin(a.merge(b)));
    Ok(match (events, messages) {
        (Some(events), None) => events,
        (None, Some(messages)) => messages,
        (None, None) => Box::pin(tokio_stream::empty()),
        // The messages end together with what they accompany.
        (Some(events), Some(messages)) => Box::pin(
            events
                .map(Some)
                .chain(tokio_stream::once(None))
                .merge(messages.map(Some))
                .take_while(Option::is_some)
                .filter_map(|event| event),
        ),
    })
}

/// The text of an event that passes the filters.
fn shown(event: &Event, options: &LogOptions) -> anyhow::Result<Option<String>> {
    let format = if options.json { Format::Json } else { options.output };
    Ok(match event {
        Event::Alert(alert) if filter::passes(&alert.into(), options) => {
            Some(print(alert, "Alert", &alert.updated_time, format)?)
        }
        Event::Log(log) if filter::passes(&log.into(), options) => {
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
