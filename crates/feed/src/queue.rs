//! Those who watch one stream: a bounded queue each, and the exact number of what each one missed.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use telemetry::Delivery;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// A slow listener is told of at most this often.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What a watching client reads from.
pub(crate) type Watch<T> = ReceiverStream<Result<T, Status>>;

pub(crate) struct Listeners<T> {
    /// As notices call what is queued: `alerts`.
    what: &'static str,
    capacity: usize,
    /// `None` once closed.
    list: Mutex<Option<Vec<Listener<T>>>>,
    dropped: AtomicU64,
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
        }
    }

    /// A new listener. After [`Listeners::close`] its stream is at its end.
    pub(crate) fn watch(&self, peer: String) -> Watch<T> {
        let (queue, watch) = mpsc::channel(self.capacity);
        if let Some(list) = &mut *self.lock() {
            list.push(Listener { peer, queue, missed: 0, told: None });
        }
        ReceiverStream::new(watch)
    }

    /// Never waits: who has no room misses the item.
    pub(crate) fn publish(&self, item: &T) -> Published {
        let mut published = Published { delivery: Delivery::Complete, notices: Vec::new() };
        let mut dropped = 0;
        if let Some(list) = &mut *self.lock() {
            list.retain_mut(|listener| {
                match listener.queue.try_send(Ok(item.clone())) {
                    Ok(()) => {}
                    Err(TrySendError::Closed(_)) => return false,
                    Err(TrySendError::Full(_)) => {
                        published.delivery = Delivery::Incomplete;
                        listener.missed += 1;
                        dropped += 1;
                    }
                }
                published.notices.extend(listener.notice(self.what));
                true
            });
        }
        self.dropped.fetch_add(dropped, Ordering::Relaxed);
        published
    }

    /// Items missed by all listeners together.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
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
        watch.close();
        assert_eq!(watch.as_mut().try_recv().unwrap().unwrap(), 1);
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
        let mut watch = listeners.watch("peer".into());
        assert!(matches!(watch.as_mut().try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
    }
}
