//! Listening to an agent or a relay, again and again where it goes away.

use std::{pin::Pin, time::Duration};

use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::sleep,
};
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use super::{News, Source};
use crate::{command::Agent, event::Event};

/// Events that wait to be counted. Behind that the agent's own queue fills up, and the agent counts what it drops.
const QUEUE: usize = 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What to listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streams {
    Logs,
    AlertsAndLogs,
}

type Events = Pin<Box<dyn Stream<Item = Result<serde_json::Value, Status>> + Send>>;

/// A connection that comes back.
pub(crate) struct Live {
    news: Receiver<News>,
    address: String,
}

impl Live {
    /// Fails if there is no agent at the beginning.
    pub(crate) async fn connect(agent: &Agent, streams: Streams) -> anyhow::Result<Self> {
        let (events, address) = open(agent, streams).await?;
        let (sender, news) = channel(QUEUE);
        tokio::spawn(follow(agent.clone(), streams, events, sender));
        Ok(Self { news, address })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Source for Live {
    async fn next(&mut self) -> Option<News> {
        self.news.recv().await
    }
}

async fn open(agent: &Agent, streams: Streams) -> anyhow::Result<(Events, String)> {
    let client = agent.connect().await?;
    let logs = client.logs("all").await?.map(|item| item.map(|log| json(&log)));
    let events: Events = match streams {
        Streams::Logs => Box::pin(logs),
        Streams::AlertsAndLogs => {
            let alerts = client.alerts("all").await?.map(|item| item.map(|alert| json(&alert)));
            // An end of either is an end of both: neither is to be missed in silence.
            let ended = || Err(Status::unavailable("the agent has ended the stream"));
            let alerts = alerts.chain(tokio_stream::once(ended()));
            let logs = logs.chain(tokio_stream::once(ended()));
            Box::pin(alerts.merge(logs))
        }
    };
    Ok((events, client.address().to_owned()))
}

/// What cannot be written as JSON does not occur; it would be counted as unreadable.
fn json(event: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(event).unwrap_or_default()
}

/// Until nobody listens any more.
async fn follow(agent: Agent, streams: Streams, mut events: Events, sender: Sender<News>) {
    loop {
        let Some(reason) = forward(&mut events, &sender).await else { return };
        if sender.send(News::Lost(reason)).await.is_err() {
            return;
        }
        let mut pause = FIRST_PAUSE;
        events = loop {
            sleep(pause).await;
            if sender.is_closed() {
                return;
            }
            match open(&agent, streams).await {
                Ok((events, _)) => break events,
                Err(_) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        };
        if sender.send(News::Back).await.is_err() {
            return;
        }
    }
}

/// Until the stream ends; returns why, or nothing if nobody listens.
async fn forward(events: &mut Events, sender: &Sender<News>) -> Option<String> {
    loop {
        let news = match events.next().await {
            Some(Ok(value)) => match Event::read(&value) {
                Some(event) => News::Event(Box::new(event)),
                None => News::Unreadable("live".to_owned()),
            },
            Some(Err(status)) => return Some(status.message().to_owned()),
            None => return Some("the agent has ended the stream".to_owned()),
        };
        sender.send(news).await.ok()?;
    }
}
