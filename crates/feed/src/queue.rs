//! Those who watch one stream: a bounded queue each, and the exact number of what each one missed.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use telemetry::Delivery;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_stream::Stream;
use tonic::Status;

/// A slow listener is told of at most this often.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What a watching client reads from.
pub struct Watch<T> {
    queue: mpsc::Receiver<Result<T, Status>>,
    /// Of all listeners to the same: items that nobody has read.
    waiting: Arc<AtomicU64>,
}

impl<T> Watch<T> {
    /// A stream that ends at once, which is the answer to a filter that wants nothing of this kind.
    pub(crate) fn nothing() -> Self {
        Self { queue: mpsc::channel(1).1, waiting: Arc::default() }
    }
}

impl<T> Stream for Watch<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = self.queue.poll_recv(context);
        if let Poll::Ready(Some(_)) = item {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        item
    }
}

impl<T> Drop for Watch<T> {
    /// A client that has left reads nothing any more.
    fn drop(&mut self) {
        self.queue.close();
        while self.queue.try_recv().is_ok() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

pub(crate) struct Listeners<T> {
    /// As notices call what is queued: `alerts`.
    what: &'static str,
    capacity: usize,
    /// `None` once closed.
    list: Mutex<Option<Vec<Listener<T>>>>,
    dropped: AtomicU64,
    waiting: Arc<AtomicU64>,
}

struct Listener<T> {
    peer: String,
    queue: mpsc::Sender<Result<T, Status>>,
    /// Missed since it was last told.
    missed: u64,
    told: Option<Instant>,
}

/// What became of one item.
#[must_use]
pub(crate) struct Published {
    pub delivery: Delivery,
    /// Texts about listeners that are too slow.
    pub notices: Vec<String>,
}

impl<T: Clone> Listeners<T> {
    pub(crate) fn new(what: &'static str, capacity: usize) -> Self {
        Self {
            what,
            capacity: capacity.max(1),
            list: Mutex::new(Some(Vec::new())),
            dropped: AtomicU64::new(0),
            waiting: Arc::default(),
        }
    }

    /// A new listener. After [`Listeners::close`] its stream is at its end.
    pub(crate) fn watch(&self, peer: String) -> Watch<T> {
        let (queue, watch) = mpsc::channel(self.capacity);
        if let Some(list) = &mut *self.lock() {
            list.push(Listener { peer, queue, missed: 0, told: None });
        }
        Watch { queue: watch, waiting: Arc::clone(&self.waiting) }
    }

    /// Whether anybody would get what is published now.
    pub(crate) fn any(&self) -> bool {
        let list = self.lock();
        list.as_ref().is_some_and(|list| list.iter().any(|one| !one.queue.is_closed()))
    }

    /// Never waits: who has no room misses the item, and so does everybody once the streams are closed.
    pub(crate) fn publish(&self, item: &T) -> Published {
        let mut published = Published { delivery: Delivery::Complete, notices: Vec::new() };
        let mut dropped = 0;
        let mut list = self.lock();
        let Some(list) = &mut *list else {
            return Published { delivery: Delivery::Incomplete, notices: Vec::new() };
        };
        list.retain_mut(|listener| {
            // Before it is sent: who reads it counts it down.
            self.waiting.fetch_add(1, Ordering::Relaxed);
            match listener.queue.try_send(Ok(item.clone())) {
                Ok(()) => {}
                Err(TrySendError::Closed(_)) => {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    return false;
                }
                Err(TrySendError::Full(_)) => {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    published.delivery = Delivery::Incomplete;
                    listener.missed += 1;
                    dropped += 1;
                }
            }
            published.notices.extend(listener.notice(self.what));
            true
        });
        self.dropped.fetch_add(dropped, Ordering::Relaxed);
        published
    }

    /// Items missed by all listeners together.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Items that are on their way to listeners.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Ends every stream behind what is queued already.
    pub(crate) fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Listener<T>>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Listener<T> {
    fn notice(&mut self, what: &str) -> Option<String> {
        if self.missed == 0 || self.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return None;
        }
        let missed = std::mem::take(&mut self.missed);
        self.told = Some(Instant::now());
        Some(format!("client {} is too slow: it missed {missed} {what}", self.peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_counts_and_tells() {
        let listeners = Listeners::new("alerts", 2);
        let mut watch = listeners.watch("peer".into());
        assert_eq!(listeners.publish(&1).delivery, Delivery::Complete);
        assert_eq!(listeners.publish(&2).delivery, Delivery::Complete);
        let third = listeners.publish(&3);
        assert_eq!(third.delivery, Delivery::Incomplete);
        assert_eq!(third.notices, ["client peer is too slow: it missed 1 alerts"]);
        assert!(listeners.publish(&4).notices.is_empty(), "told a moment ago");
        assert_eq!(listeners.dropped(), 2);
        assert_eq!(listeners.waiting(), 2);
        assert_eq!(next(&mut watch), Some(1));
        assert_eq!(listeners.waiting(), 1);
        drop(watch);
        assert_eq!(listeners.waiting(), 0, "nobody is there to read");
    }

    /// What a client reads without waiting; `None` at the stream's end.
    fn next(watch: &mut Watch<u8>) -> Option<u8> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        match Pin::new(watch).poll_next(&mut context) {
            Poll::Ready(item) => item.map(Result::unwrap),
            Poll::Pending => panic!("nothing to read"),
        }
    }

    #[test]
    fn a_listener_that_left_is_no_loss() {
        let listeners = Listeners::new("alerts", 1);
        drop(listeners.watch("peer".into()));
        assert_eq!(listeners.publish(&1).delivery, Delivery::Complete);
        assert_eq!(listeners.dropped(), 0);
    }

    #[test]
    fn after_closing_a_stream_is_at_its_end() {
        let listeners = Listeners::<u8>::new("alerts", 1);
        listeners.close();
        assert_eq!(next(&mut listeners.watch("peer".into())), None);
        assert_eq!(listeners.publish(&1).delivery, Delivery::Incomplete, "nobody will have it");
    }
}
