//! What an agent or a relay has kept since a moment.

use anyhow::Context as _;
use feed::proto::history::{HistoryEvent, history_event::Event as Told};
use jiff::Timestamp;
use tonic::Streaming;

use super::{Moment, News, Source, Streams};
use crate::{command::Agent, endpoint::aloud, event::Event};

/// Events of the past, the oldest first, up to the moment of the question.
pub(crate) struct Kept {
    events: Streaming<HistoryEvent>,
    address: String,
    failure: Option<anyhow::Error>,
}

impl Kept {
    /// Fails where nothing is kept.
    pub(crate) async fn since(
        agent: &Agent,
        since: Moment,
        streams: Streams,
    ) -> anyhow::Result<Self> {
        let client = agent.connect_for_events(aloud).await?;
        let filter = match streams {
            Streams::Logs => "system",
            Streams::AlertsAndLogs => "all",
        };
        let now = Timestamp::now();
        let events = client.history(since.micros(now), now.as_microsecond(), filter).await?;
        Ok(Self { events, address: client.address().to_owned(), failure: None })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Why the end came before the end of what is kept.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        self.failure.map_or(Ok(()), Err)
    }
}

impl Source for Kept {
    async fn next(&mut self) -> Option<News> {
        let told = match self.events.message().await.context("the history broke off") {
            Ok(told) => told?.event,
            Err(error) => {
                self.failure = Some(error);
                return None;
            }
        };
        let event = match &told {
            Some(Told::Alert(alert)) => Event::of_alert(alert),
            Some(Told::Log(log)) => Event::of_log(log),
            None => None,
        };
        Some(match event {
            Some(event) => News::Event(Box::new(event)),
            None => News::Unreadable("the history".to_owned()),
        })
    }
}
