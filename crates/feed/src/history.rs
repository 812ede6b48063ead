//! Alerts and logs on their way into the history, by a thread of its own, and back out of it.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ::history::{Bounds, Entry, History, Reader};
use prost::Message as _;
use telemetry::Delivery;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::{
    Feed,
    metrics::SinkCounts,
    proto::{
        feeder,
        history::{
            HistoryEvent, HistoryRequest, history_event::Event,
            history_server::History as HistoryService,
        },
    },
    seldom::Seldom,
};

/// Events that are written at once.
const BATCH: usize = 1000;
/// What the first of them waits for others.
const GATHER: Duration = Duration::from_millis(250);
/// How often what is too old is looked for while nothing happens.
const TIDY: Duration = Duration::from_mins(10);
/// What the last events have to reach the disk.
const LAST: Duration = Duration::from_secs(1);
/// Events that are read ahead of a client.
const AHEAD: usize = 64;

/// Clients that may read at once.
const READERS: usize = 8;

const ALERT: u8 = 1;
const LOG: u8 = 2;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryBounds {
    pub bytes: u64,
    pub days: u32,
}

/// What is sent to the writing thread.
enum Order {
    Keep(Box<Event>),
    /// Answers when everything before is on disk, or lost and counted.
    Flush(SyncSender<()>),
}

/// The near end of the thread, and the way to read.
pub(crate) struct Keeper {
    queue: SyncSender<Order>,
    reader: Reader,
    /// Those who may read at once: each takes a thread.
    readers: Arc<Semaphore>,
    counted: Arc<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    accepted: AtomicU64,
    dropped: AtomicU64,
    written: AtomicU64,
    failed: AtomicU64,
}

impl Keeper {
    /// Opens the history of a directory, and warns of what in it is damaged.
    pub(crate) fn start(
        directory: &Path,
        bounds: HistoryBounds,
        capacity: usize,
    ) -> io::Result<Self> {
        let age = Duration::from_secs(u64::from(bounds.days) * 24 * 3600);
        let (history, damaged) = History::open(directory, Bounds { bytes: bounds.bytes, age })
            .map_err(|error| io::Error::other(error.to_string()))?;
        for error in damaged {
            tracing::error!("{error}; it is kept as damaged, all else is there");
        }
        let (queue, orders) = sync_channel(capacity);
        let counted = Arc::new(Counted::default());
        let reader = history.reader();
        let writer =
            Writer { history, counted: Arc::clone(&counted), complaints: Seldom::default() };
        thread::Builder::new().name("history".into()).spawn(move || writer.run(&orders))?;
        Ok(Self { queue, reader, readers: Arc::new(Semaphore::new(READERS)), counted })
    }

    pub(crate) fn keep(&self, event: Event) -> Delivery {
        // Before it is sent: who writes it counts it, too.
        self.counted.accepted.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(Order::Keep(Box::new(event))).is_ok() {
            return Delivery::Complete;
        }
        self.counted.accepted.fetch_sub(1, Ordering::Relaxed);
        self.counted.dropped.fetch_add(1, Ordering::Relaxed);
        Delivery::Incomplete
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.counted.dropped.load(Ordering::Relaxed)
    }

    /// With the place of a reader, as long as there are any.
    pub(crate) fn reader(&self) -> Option<(Reader, OwnedSemaphorePermit)> {
        let place = Arc::clone(&self.readers).try_acquire_owned().ok()?;
        Some((self.reader.clone(), place))
    }

    /// Waits until what was kept before is on disk, not for long.
    pub(crate) fn flush(&self) {
        let (done, flushed) = sync_channel(1);
        if self.queue.send(Order::Flush(done)).is_ok() {
            let _ = flushed.recv_timeout(LAST);
        }
    }

    pub(crate) fn counts(&self) -> SinkCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (delivered, failed) = (read(&self.counted.written), read(&self.counted.failed));
        SinkCounts {
            name: "history".into(),
            kind: "history",
            delivered,
            lost: read(&self.counted.dropped) + failed,
            waiting: read(&self.counted.accepted).saturating_sub(delivered + failed),
        }
    }
}

struct Writer {
    history: History,
    counted: Arc<Counted>,
    complaints: Seldom,
}

impl Writer {
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            match orders.recv_timeout(TIDY) {
                Ok(first) => self.gather(first, orders),
                Err(RecvTimeoutError::Timeout) => self.history.tidy(now()),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn gather(&mut self, first: Order, orders: &Receiver<Order>) {
        let end = Instant::now() + GATHER;
        let (mut batch, mut next) = (Vec::new(), Some(first));
        let mut flushed = None;
        while let Some(order) = next {
            match order {
                Order::Keep(event) => batch.push(entry(&event)),
                Order::Flush(done) => {
                    flushed = Some(done);
                    break;
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            next = (batch.len() < BATCH).then(|| orders.recv_timeout(left).ok()).flatten();
        }
        self.write(&batch);
        if let Some(done) = flushed {
            // Whoever asked may have given up.
            let _ = done.send(());
        }
    }

    fn write(&mut self, batch: &[Entry]) {
        if batch.is_empty() {
            return;
        }
        let count = match self.history.append(batch, now()) {
            Ok(()) => &self.counted.written,
            Err(error) => {
                let lost = batch.len();
                self.complaints.warn(&format!("{lost} events are not kept: {error}"));
                &self.counted.failed
            }
        };
        count.fetch_add(batch.len() as u64, Ordering::Relaxed);
    }
}

/// Microseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn entry(event: &Event) -> Entry {
    let (kind, seconds, text, bytes) = match event {
        Event::Alert(alert) => (ALERT, alert.timestamp, &alert.updated_time, alert.encode_to_vec()),
        Event::Log(log) => (LOG, log.timestamp, &log.updated_time, log.encode_to_vec()),
    };
    let micros =
        text.rsplit_once('.').and_then(|(_, part)| part.trim_end_matches('Z').parse().ok());
    let seconds = u64::try_from(seconds).unwrap_or_default();
    Entry { time: seconds * 1_000_000 + micros.unwrap_or(0_u64).min(999_999), kind, bytes }
}

fn event(entry: &Entry) -> Option<Event> {
    match entry.kind {
        ALERT => feeder::Alert::decode(entry.bytes.as_slice()).ok().map(Event::Alert),
        LOG => feeder::Log::decode(entry.bytes.as_slice()).ok().map(Event::Log),
        _ => None,
    }
}

#[tonic::async_trait]
impl HistoryService for Feed {
    type QueryStream = ReceiverStream<Result<HistoryEvent, Status>>;

    async fn query(
        &self,
        request: Request<HistoryRequest>,
    ) -> Result<Response<Self::QueryStream>, Status> {
        let keeper = self.history().ok_or_else(|| {
            Status::failed_precondition(
                "the agent keeps no history; let its configuration say `history: on`",
            )
        })?;
        let HistoryRequest { since, until, filter } = request.into_inner();
        let wanted: &[u8] = match filter.as_str() {
            "policy" => &[ALERT],
            "system" => &[LOG],
            "all" => &[ALERT, LOG],
            _ => return Err(Status::invalid_argument("`Filter` is policy, system or all")),
        };
        let (reader, place) = keeper.reader().ok_or_else(|| {
            Status::resource_exhausted("too many ask for the history at once; ask again later")
        })?;
        let time = |micros: i64| u64::try_from(micros).unwrap_or_default();
        let (sender, events) = mpsc::channel(AHEAD);
        tokio::task::spawn_blocking(move || {
            let _place = place;
            let read = reader.read(time(since), time(until), |entry| {
                if !wanted.contains(&entry.kind) {
                    // Nobody may be listening any more.
                    return !sender.is_closed();
                }
                let Some(event) = event(&entry) else { return true };
                sender.blocking_send(Ok(HistoryEvent { event: Some(event) })).is_ok()
            });
            if let Err(error) = read {
                tracing::error!("{error}");
                let _ = sender.blocking_send(Err(Status::data_loss(error.to_string())));
            }
        });
        Ok(Response::new(ReceiverStream::new(events)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_event() {
        let alert = feeder::Alert {
            timestamp: 1_700_000_000,
            updated_time: "2023-11-14T22:13:20.000123Z".into(),
            ..feeder::Alert::default()
        };
        let kept = entry(&Event::Alert(alert.clone()));
        assert_eq!(kept.time, 1_700_000_000_000_123);
        assert_eq!(event(&kept), Some(Event::Alert(alert)));
        let log = feeder::Log { timestamp: 7, ..feeder::Log::default() };
        assert_eq!(entry(&Event::Log(log)).time, 7_000_000);
    }
}
