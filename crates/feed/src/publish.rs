//! [`Feed`]: the handle through which the agent speaks to everyone who listens.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use serde::Serialize;
use sinks::{Sinks, Stream};
use telemetry::{Alert, Delivery, Log, Node, Sink};

use crate::{
    LogPath,
    log_path::{Line, LineWriter},
    proto::{feeder, go_json},
    queue::{Listeners, Published},
};

/// Items that wait for one slow listener.
const QUEUE: usize = 8192;

#[derive(Clone, Debug)]
pub struct FeedOptions {
    pub node: Node,
    /// `HostIP` of messages; may be empty.
    pub host_ip: String,
    /// Items that may wait for one listener before it misses some.
    pub queue: usize,
}

impl Default for FeedOptions {
    fn default() -> Self {
        Self { node: Node::default(), host_ip: String::new(), queue: QUEUE }
    }
}

/// How grave a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// Cheap to clone; every clone speaks to the same listeners. Publishing never waits.
#[derive(Clone)]
pub struct Feed(Arc<Channels>);

pub(crate) struct Channels {
    options: FeedOptions,
    pub alerts: Listeners<feeder::Alert>,
    pub logs: Listeners<feeder::Log>,
    pub messages: Listeners<feeder::Message>,
    lines: OnceLock<LineWriter>,
    sinks: OnceLock<Sinks>,
}

impl Feed {
    pub fn new(options: FeedOptions) -> Self {
        Self(Arc::new(Channels {
            alerts: Listeners::new("alerts", options.queue),
            logs: Listeners::new("logs", options.queue),
            messages: Listeners::new("messages", options.queue),
            lines: OnceLock::new(),
            sinks: OnceLock::new(),
            options,
        }))
    }

    /// Also writes every alert and log to `path` from now on. Takes effect once.
    pub fn write_to(&self, path: &LogPath) -> io::Result<()> {
        if let Some(writer) = LineWriter::start(path, self.0.options.queue)? {
            self.0.lines.get_or_init(|| writer);
        }
        Ok(())
    }

    /// Also offers every alert, log and message to `sinks` from now on. Takes effect once.
    pub fn send_to(&self, sinks: Sinks) {
        self.0.sinks.get_or_init(|| sinks);
    }

    pub fn publish_alert(&self, alert: Alert) -> Delivery {
        let line = self.line(|| Line::Alert(Box::new(alert.clone())));
        let alert: feeder::Alert = alert.into();
        let sunk = self.sink(Stream::Alerts, &alert);
        let published = self.0.alerts.publish(&alert);
        self.settle(published, [line, sunk])
    }

    pub fn publish_log(&self, log: Log) -> Delivery {
        let line = self.line(|| Line::Log(Box::new(log.clone())));
        let log: feeder::Log = log.into();
        let sunk = self.sink(Stream::Logs, &log);
        let published = self.0.logs.publish(&log);
        self.settle(published, [line, sunk])
    }

    pub fn publish_message(&self, level: Level, text: impl Into<String>) {
        let now = SystemTime::now();
        let FeedOptions { node, host_ip, .. } = &self.0.options;
        let message = feeder::Message {
            timestamp: telemetry::unix_seconds(now),
            updated_time: telemetry::shown_time(now),
            cluster_name: node.cluster.clone(),
            host_name: node.host.clone(),
            host_ip: host_ip.clone(),
            r#type: "Message".into(),
            level: level.as_str().into(),
            message: text.into(),
        };
        // Of messages there is no account but that of each sink.
        let _ = self.sink(Stream::Messages, &message);
        // Notices about slow readers of messages would only make them slower.
        let _ = self.0.messages.publish(&message);
    }

    /// Whether a client listens to alerts now.
    pub fn is_heard(&self) -> bool {
        self.0.alerts.any()
    }

    /// Alerts, logs and lines of the log file that someone missed, each counted per listener.
    pub fn dropped(&self) -> u64 {
        let lines = self.0.lines.get().map_or(0, LineWriter::dropped);
        self.0.alerts.dropped() + self.0.logs.dropped() + lines
    }

    /// Alerts and logs that are on their way to clients, each counted per client.
    pub fn waiting(&self) -> u64 {
        self.0.alerts.waiting() + self.0.logs.waiting()
    }

    /// Ends all streams, for the agent's own end.
    pub fn close(&self) {
        self.0.alerts.close();
        self.0.logs.close();
        self.0.messages.close();
    }

    pub(crate) fn channels(&self) -> &Channels {
        &self.0
    }

    fn line(&self, line: impl FnOnce() -> Line) -> Delivery {
        self.0.lines.get().map_or(Delivery::Complete, |writer| writer.write(line()))
    }

    /// Complete if every sink that wants it has it in its queue. What is dropped later is in the sink's own account.
    fn sink(&self, stream: Stream, event: &impl Serialize) -> Delivery {
        let Some(sinks) = self.0.sinks.get().filter(|sinks| sinks.want(stream)) else {
            return Delivery::Complete;
        };
        if go_json(event).is_ok_and(|line| sinks.offer(stream, line)) {
            Delivery::Complete
        } else {
            Delivery::Incomplete
        }
    }

    fn settle(&self, published: Published, others: [Delivery; 2]) -> Delivery {
        for notice in published.notices {
            self.publish_message(Level::Warn, notice);
        }
        if others.into_iter().chain([published.delivery]).all(|one| one == Delivery::Complete) {
            Delivery::Complete
        } else {
            Delivery::Incomplete
        }
    }
}

impl Sink for Feed {
    fn alert(&mut self, alert: Alert) -> Delivery {
        self.publish_alert(alert)
    }

    fn log(&mut self, log: Log) -> Delivery {
        self.publish_log(log)
    }
}
