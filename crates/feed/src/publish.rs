//! [`Feed`]: the handle through which the agent speaks to everyone who listens.

use std::{
    io,
    path::Path,
    sync::{Arc, OnceLock},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use sinks::{SinkAccount, Sinks, Stream};
use telemetry::{Alert, Delivery, Log, Node, Sink};

use crate::{
    HistoryBounds, Keep, LogPath, Rotation,
    history::Keeper,
    log_path::{Line, LineWriter},
    metrics::SinkCounts,
    proto::{feeder, go_json, history::history_event::Event},
    queue::{Listeners, Published, StreamCounts},
};

/// Items that wait for one slow listener.
const QUEUE: usize = 8192;

/// Kept of each stream for clients that come back.
const KEEP: Keep = Keep { items: 4096, bytes: 4 << 20 };

#[derive(Clone, Debug)]
pub struct FeedOptions {
    pub node: Node,
    /// `HostIP` of messages; may be empty.
    pub host_ip: String,
    /// Items that may wait for one listener before it misses some.
    pub queue: usize,
    /// What is kept of alerts, and of logs, for clients that come back.
    pub keep: Keep,
    /// What others tell is passed on as well: no node may take the place of another in a client's queue.
    pub many_nodes: bool,
}

impl Default for FeedOptions {
    fn default() -> Self {
        Self {
            node: Node::default(),
            host_ip: String::new(),
            queue: QUEUE,
            keep: KEEP,
            many_nodes: false,
        }
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
    /// Names this run: numbers of items begin anew with it.
    pub epoch: String,
    pub alerts: Listeners<feeder::Alert>,
    pub logs: Listeners<feeder::Log>,
    pub messages: Listeners<feeder::Message>,
    lines: OnceLock<LineWriter>,
    history: OnceLock<Keeper>,
    sinks: OnceLock<Sinks>,
}

impl Feed {
    pub fn new(options: FeedOptions) -> Self {
        let FeedOptions { queue, keep, many_nodes, .. } = options;
        Self(Arc::new(Channels {
            epoch: epoch(),
            alerts: Listeners::new("alerts", queue, keep, many_nodes),
            logs: Listeners::new("logs", queue, keep, many_nodes),
            messages: Listeners::new("messages", queue, Keep::NOTHING, many_nodes),
            lines: OnceLock::new(),
            history: OnceLock::new(),
            sinks: OnceLock::new(),
            options,
        }))
    }

    /// Also writes every alert and log to `path` from now on. Takes effect once.
    pub fn write_to(&self, path: &LogPath, rotation: Rotation) -> io::Result<()> {
        if let Some(writer) = LineWriter::start(path, rotation, self.0.options.queue)? {
            self.0.lines.get_or_init(|| writer);
        }
        Ok(())
    }

    /// Also keeps every alert and log in the history of `directory` from now on. Takes effect once.
    pub fn keep_history(&self, directory: &Path, bounds: HistoryBounds) -> io::Result<()> {
        let keeper = Keeper::start(directory, bounds, self.0.options.queue)?;
        self.0.history.get_or_init(|| keeper);
        Ok(())
    }

    /// Waits until the log file and the history have what was published before, for a second each at most.
    pub fn flush(&self) {
        if let Some(lines) = self.0.lines.get() {
            lines.flush();
        }
        if let Some(keeper) = self.0.history.get() {
            keeper.flush();
        }
    }

    /// Also offers every alert, log and message to `sinks` from now on. Takes effect once.
    pub fn send_to(&self, sinks: Sinks) {
        self.0.sinks.get_or_init(|| sinks);
    }

    pub fn publish_alert(&self, alert: Alert) -> Delivery {
        let line = self.line(|| Line::Alert(Box::new(alert.clone())));
        let alert: feeder::Alert = alert.into();
        let kept = self.keep(|| Event::Alert(alert.clone()));
        let sunk = self.sink(Stream::Alerts, &alert);
        let published = self.0.alerts.publish(alert);
        self.settle(published, [line, kept, sunk])
    }

    pub fn publish_log(&self, log: Log) -> Delivery {
        let line = self.line(|| Line::Log(Box::new(log.clone())));
        let log: feeder::Log = log.into();
        let kept = self.keep(|| Event::Log(log.clone()));
        let sunk = self.sink(Stream::Logs, &log);
        let published = self.0.logs.publish(log);
        self.settle(published, [line, kept, sunk])
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
        let _ = self.0.messages.publish(message);
    }

    /// Whether a client listens to alerts now.
    pub fn is_heard(&self) -> bool {
        self.0.alerts.any()
    }

    /// Alerts and logs that a listener, the log file or the history missed, each counted for each of them.
    pub fn dropped(&self) -> u64 {
        let lines = self.0.lines.get().map_or(0, LineWriter::dropped);
        let kept = self.0.history.get().map_or(0, Keeper::dropped);
        self.0.alerts.dropped() + self.0.logs.dropped() + lines + kept
    }

    /// Alerts and logs that are on their way to clients, each counted per client.
    pub fn waiting(&self) -> u64 {
        self.0.alerts.waiting() + self.0.logs.waiting()
    }

    /// Who watches the streams, and what they missed.
    pub fn streams(&self) -> [StreamCounts; 3] {
        [self.0.alerts.counts(), self.0.logs.counts(), self.0.messages.counts()]
    }

    /// What became of events that go to disk.
    pub fn files(&self) -> Vec<SinkCounts> {
        let lines = self.0.lines.get().map(LineWriter::counts);
        lines.into_iter().chain(self.0.history.get().map(Keeper::counts)).collect()
    }

    /// What became of events that go to other systems.
    pub fn sinks(&self) -> Vec<SinkAccount> {
        self.0.sinks.get().map(Sinks::accounts).unwrap_or_default()
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

    pub(crate) fn line(&self, line: impl FnOnce() -> Line) -> Delivery {
        self.0.lines.get().map_or(Delivery::Complete, |writer| writer.write(line()))
    }

    pub(crate) fn keep(&self, event: impl FnOnce() -> Event) -> Delivery {
        self.0.history.get().map_or(Delivery::Complete, |keeper| keeper.keep(event()))
    }

    pub(crate) fn writes_lines(&self) -> bool {
        self.0.lines.get().is_some()
    }

    pub(crate) fn has_sink_for(&self, stream: Stream) -> bool {
        self.0.sinks.get().is_some_and(|sinks| sinks.want(stream))
    }

    pub(crate) fn history(&self) -> Option<&Keeper> {
        self.0.history.get()
    }

    /// Complete if every sink that wants it has it in its queue. What is dropped later is in the sink's own account.
    pub(crate) fn sink(&self, stream: Stream, event: &impl Serialize) -> Delivery {
        let Some(sinks) = self.0.sinks.get().filter(|sinks| sinks.want(stream)) else {
            return Delivery::Complete;
        };
        if go_json(event).is_ok_and(|line| sinks.offer(stream, line)) {
            Delivery::Complete
        } else {
            Delivery::Incomplete
        }
    }

    pub(crate) fn settle(&self, published: Published, others: [Delivery; 3]) -> Delivery {
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

/// No two runs on one machine begin in the same nanosecond.
fn epoch() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}", since.as_nanos())
}

impl Sink for Feed {
    fn alert(&mut self, alert: Alert) -> Delivery {
        self.publish_alert(alert)
    }

    fn log(&mut self, log: Log) -> Delivery {
        self.publish_log(log)
    }
}
