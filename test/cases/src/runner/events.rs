//! What the agent reports: its alerts and logs, in the order they arrived.

use std::{
    fmt::Write,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use feed::client::Client;
use serde::Serialize;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_stream::StreamExt;

use super::agent::ADDRESS;
use crate::{format::EventPattern, matcher::as_text};

/// No event for so long means that none is on its way.
const QUIET: Duration = Duration::from_millis(300);
/// Some agents are never quiet: a loop may still be running.
const LONGEST_UNREST: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Alerts,
    Logs,
    Messages,
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) stream: Stream,
    /// The message with the field names of its protocol.
    pub(crate) fields: Value,
}

/// All events since the runner was started, whichever agent sent them.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Shared>);

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Event>>,
    more: Condvar,
}

/// A place between two events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(usize);

impl Events {
    /// Subscribes to the running agent. When it returns no later event is missed; the subscription ends with the
    /// agent.
    pub(crate) fn subscribe(&self, runtime: &Runtime) -> Result<()> {
        let (client, messages, alerts, logs) = runtime.block_on(async {
            let client = Client::connect(ADDRESS).await?;
            // First, since messages may be about the alerts that an agent tells as soon as somebody listens.
            let messages = client.messages().await?;
            let alerts = client.alerts("all").await?;
            let logs = client.logs("all").await?;
            anyhow::Ok((client, messages, alerts, logs))
        })?;
        self.follow(runtime, Stream::Messages, messages, client.clone());
        self.follow(runtime, Stream::Alerts, alerts, client.clone());
        self.follow(runtime, Stream::Logs, logs, client);
        Ok(())
    }

    fn follow<M>(
        &self,
        runtime: &Runtime,
        stream: Stream,
        mut messages: impl tokio_stream::Stream<Item = Result<M, impl Send>> + Send + Unpin + 'static,
        client: Client,
    ) where
        M: Serialize + Send,
    {
        let events = self.clone();
        runtime.spawn(async move {
            let _connection = client;
            while let Some(Ok(message)) = messages.next().await {
                if let Ok(fields) = serde_json::to_value(message) {
                    events.add(Event { stream, fields });
                }
            }
        });
    }

    pub(crate) fn add(&self, event: Event) {
        self.seen().push(event);
        self.0.more.notify_all();
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.seen().len())
    }

    /// Waits until the pattern is seen; false if it is not within `patience`.
    pub(crate) fn await_match(
        &self,
        stream: Stream,
        pattern: &EventPattern,
        since: Mark,
        patience: Duration,
    ) -> bool {
        let deadline = Instant::now() + patience;
        let mut looked_at = since.0;
        let mut seen = self.seen();
        loop {
            let found = seen.iter().skip(looked_at).any(|event| is_match(event, stream, pattern));
            if found {
                return true;
            }
            looked_at = seen.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            seen = self.wait(seen, left);
        }
    }

    /// The first event since the mark that fits the pattern.
    pub(crate) fn find(
        &self,
        stream: Stream,
        pattern: &EventPattern,
        since: Mark,
    ) -> Option<Event> {
        self.seen().iter().skip(since.0).find(|event| is_match(event, stream, pattern)).cloned()
    }

    /// Waits until no event has arrived for a moment.
    pub(crate) fn settle(&self) {
        let deadline = Instant::now() + LONGEST_UNREST;
        let mut seen = self.seen();
        let mut last = Instant::now();
        while last.elapsed() < QUIET && Instant::now() < deadline {
            let before = seen.len();
            seen = self.wait(seen, QUIET.saturating_sub(last.elapsed()));
            if seen.len() != before {
                last = Instant::now();
            }
        }
    }

    /// The latest events since the mark, a line each.
    pub(crate) fn summary(&self, stream: Stream, since: Mark, most: usize) -> String {
        let seen = self.seen();
        let since: Vec<_> =
            seen.iter().skip(since.0).filter(|event| event.stream == stream).collect();
        let mut text = String::new();
        let left_out = since.len().saturating_sub(most);
        if left_out > 0 {
            let _ = writeln!(text, "({left_out} more)");
        }
        for event in &since[left_out..] {
            let _ = writeln!(text, "{}", short(&event.fields));
        }
        text
    }

    /// Everything since the mark as JSON lines.
    pub(crate) fn json_lines(&self, since: Mark) -> String {
        self.seen().iter().skip(since.0).fold(String::new(), |mut text, event| {
            let _ = writeln!(text, "{:?} {}", event.stream, event.fields);
            text
        })
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &'a self,
        seen: MutexGuard<'a, Vec<Event>>,
        longest: Duration,
    ) -> MutexGuard<'a, Vec<Event>> {
        self.0.more.wait_timeout(seen, longest).unwrap_or_else(PoisonError::into_inner).0
    }
}

fn is_match(event: &Event, stream: Stream, pattern: &EventPattern) -> bool {
    event.stream == stream && pattern.matches(&event.fields)
}

/// The fields that tell most, in one line.
pub(crate) fn short(fields: &Value) -> String {
    const TELLING: [&str; 11] = [
        "PolicyName",
        "Type",
        "Operation",
        "Action",
        "Result",
        "Resource",
        "Source",
        "Data",
        "ContainerName",
        "Level",
        "Message",
    ];
    let parts: Vec<_> = TELLING
        .iter()
        .filter_map(|name| Some(format!("{name}={:?}", as_text(fields.get(name)?))))
        .collect();
    parts.join(" ")
}

/// A runtime for the subscriptions.
pub(crate) fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the event runtime")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pattern(value: Value) -> EventPattern {
        serde_json::from_value(value).unwrap()
    }

    fn alert(fields: Value) -> Event {
        Event { stream: Stream::Alerts, fields }
    }

    #[test]
    fn only_what_came_after_the_mark_counts() {
        let events = Events::default();
        events.add(alert(json!({"PolicyName": "old"})));
        let mark = events.mark();
        events.add(alert(json!({"PolicyName": "new"})));
        let seen = |name: &str| {
            let pattern = pattern(json!({"PolicyName": name}));
            events.await_match(Stream::Alerts, &pattern, mark, Duration::ZERO)
        };
        assert!(seen("new"));
        assert!(!seen("old"));
    }

    #[test]
    fn an_event_may_come_later() {
        let events = Events::default();
        let mark = events.mark();
        let wanted = pattern(json!({"Action": "Block"}));
        std::thread::scope(|scope| {
            scope.spawn(|| events.add(alert(json!({"Action": "Block"}))));
            assert!(events.await_match(Stream::Alerts, &wanted, mark, Duration::from_secs(5)));
        });
        assert!(events.find(Stream::Logs, &wanted, mark).is_none(), "another stream");
    }
}
