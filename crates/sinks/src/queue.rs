//! What waits in memory for one sink: bounded by count and bytes, written to by whoever publishes, read by the worker.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::Notify,
    time::{Duration, Instant, sleep_until},
};

use crate::{
    config::{Batch, QueueLimits},
    event::Event,
};

#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Told at every change. One worker waits at a time.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    limits: QueueLimits,
    events: VecDeque<(Event, Instant)>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        let state = State { limits, events: VecDeque::new(), bytes: 0, closed: false };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// What there is stays, also if it is more than may come from now on.
    pub(crate) fn set_limits(&self, limits: QueueLimits) {
        self.lock().limits = limits;
        self.changed.notify_one();
    }

    /// Runs `counted` while nobody else can see the event; `None` and nothing is done if there is no room.
    pub(crate) fn push(&self, event: Event, counted: impl FnOnce()) -> Option<()> {
        let mut state = self.lock();
        let bytes = state.bytes + event.json.len();
        let limits = state.limits;
        if state.closed || state.events.len() >= limits.max_events || bytes > limits.max_bytes {
            return None;
        }
        state.bytes = bytes;
        state.events.push_back((event, Instant::now()));
        counted();
        drop(state);
        self.changed.notify_one();
        Some(())
    }

    /// Takes nothing more, and what is there counts as old enough.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits until there is a batch: as many as one may hold, or one event that is old enough. Also returns once
    /// the queue is closed, with or without events.
    pub(crate) async fn ready(&self, batch: Batch) {
        loop {
            let due = {
                let state = self.lock();
                let full = state.events.len() >= batch.max_events || state.bytes >= batch.max_bytes;
                if full || state.closed {
                    return;
                }
                let age = Duration::from_millis(batch.max_age_millis);
                state.events.front().map(|(_, since)| *since + age)
            };
            match due {
                None => self.changed.notified().await,
                Some(due) => tokio::select! {
                    () = sleep_until(due) => return,
                    () = self.changed.notified() => {}
                },
            }
        }
    }

    /// Waits until the queue holds anything, if the peer is `away`, or else half of what it may.
    pub(crate) async fn crowded(&self, away: bool) {
        loop {
            {
                let state = self.lock();
                let QueueLimits { max_events, max_bytes } = state.limits;
                let half = state.events.len() > max_events / 2 || state.bytes > max_bytes / 2;
                if half || (away && !state.events.is_empty()) {
                    return;
                }
            }
            self.changed.notified().await;
        }
    }

    /// The oldest, one at least if there is any.
    pub(crate) fn take(&self, max_events: usize, max_bytes: usize) -> Vec<Event> {
        let mut state = self.lock();
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some((event, _)) = state.events.front() {
            bytes += event.json.len();
            if taken.len() >= max_events || (bytes > max_bytes && !taken.is_empty()) {
                break;
            }
            state.bytes -= event.json.len();
            taken.extend(state.events.pop_front().map(|(event, _)| event));
        }
        taken
    }

    /// Puts back what was taken last. It had room before.
    pub(crate) fn put_back(&self, events: Vec<Event>) {
        let mut state = self.lock();
        let now = Instant::now();
        for event in events.into_iter().rev() {
            state.bytes += event.json.len();
            state.events.push_front((event, now));
        }
        drop(state);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Stream;

    fn queue(max_events: usize, max_bytes: usize) -> Queue {
        Queue::new(QueueLimits { max_events, max_bytes })
    }

    fn push(queue: &Queue, json: &str) -> bool {
        queue.push(Event::new(Stream::Logs, json), || {}).is_some()
    }

    #[test]
    fn what_has_no_room_is_not_counted() {
        let queue = queue(2, 10);
        assert!(push(&queue, "aaaa"));
        assert!(!push(&queue, "aaaaaaa"), "bytes");
        assert!(push(&queue, "a"));
        assert!(!push(&queue, "a"), "events");
        queue.close();
        assert_eq!(queue.take(9, 9).len(), 2);
        let mut counted = false;
        assert!(queue.push(Event::new(Stream::Logs, "a"), || counted = true).is_none());
        assert!(!counted, "closed");
    }

    #[test]
    fn batches_are_the_oldest_and_never_empty() {
        let queue = queue(9, 99);
        for json in ["1234567890", "2", "3", "4"] {
            push(&queue, json);
        }
        let lengths = |events: Vec<Event>| events.iter().map(|e| e.json.len()).collect::<Vec<_>>();
        assert_eq!(lengths(queue.take(9, 5)), [10]);
        let events = queue.take(2, 99);
        queue.put_back(events);
        assert_eq!(&*queue.take(1, 99)[0].json, "2");
        assert_eq!(lengths(queue.take(9, 2)), [1, 1]);
        assert!(queue.take(9, 9).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_due_when_it_is_full_or_old() {
        let queue = queue(9, 99);
        let batch = Batch { max_events: 2, max_bytes: 50, max_age_millis: 1000 };
        let start = Instant::now();
        push(&queue, "1");
        queue.ready(batch).await;
        assert_eq!(start.elapsed(), Duration::from_secs(1), "old");
        push(&queue, "2");
        let start = Instant::now();
        queue.ready(batch).await;
        assert_eq!(start.elapsed(), Duration::ZERO, "full");
        queue.take(9, 99);
        let ((), ()) = tokio::join!(queue.ready(batch), async { queue.close() });
        assert_eq!(start.elapsed(), Duration::ZERO, "closed");
    }

    #[tokio::test]
    async fn it_is_crowded_sooner_while_the_peer_is_away() {
        let queue = queue(4, 99);
        push(&queue, "1");
        queue.crowded(true).await;
        push(&queue, "2");
        let ((), ()) = tokio::join!(queue.crowded(false), async { assert!(push(&queue, "3")) });
    }
}
