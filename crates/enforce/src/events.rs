//! [`Events`]: what the kernel reported, on its way to the agent. Logs have a small share of the queue, so that however
//! many there are, an alert waits behind few of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::Duration,
};

use sensor::Then;
use wire::RecordKind;

use crate::Event;

/// Events that wait for the agent; when it is full the kernel's rings fill up and count what they lose.
const QUEUE: usize = 16 * 1024;
/// Logs among them.
const LOGS: usize = 1024;

/// The agent's end.
#[derive(Debug)]
pub struct Events {
    queue: Receiver<Event>,
    logs: Arc<AtomicUsize>,
}

#[derive(Debug)]
pub(crate) struct Sender {
    queue: SyncSender<Event>,
    logs: Arc<AtomicUsize>,
}

pub(crate) fn channel() -> (Sender, Events) {
    let (sender, receiver) = sync_channel(QUEUE);
    let logs = Arc::new(AtomicUsize::new(0));
    (Sender { queue: sender, logs: Arc::clone(&logs) }, Events { queue: receiver, logs })
}

impl Events {
    /// The next event, or an error when none comes in time or no more will come.
    pub fn recv_timeout(&self, limit: Duration) -> Result<Event, RecvTimeoutError> {
        let event = self.queue.recv_timeout(limit)?;
        if event.record.kind == RecordKind::Log {
            self.logs.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(event)
    }
}

impl Sender {
    /// Whether one more log has room.
    pub(crate) fn has_room_for_log(&self) -> bool {
        self.logs.load(Ordering::Relaxed) < LOGS
    }

    /// Waits for room, except for that of a log: ask first.
    pub(crate) fn send(&self, event: Event) -> Then {
        if event.record.kind == RecordKind::Log {
            self.logs.fetch_add(1, Ordering::Relaxed);
        }
        match self.queue.send(event) {
            Ok(()) => Then::Next,
            Err(_gone) => Then::End,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkloadKey;

    fn event(kind: u16) -> Event {
        let mut bytes = vec![0; wire::HEAD_SIZE];
        for (at, number) in [(0, wire::VERSION), (2, kind), (4, 2)] {
            bytes[at..at + 2].copy_from_slice(&number.to_ne_bytes());
        }
        let record = wire::Record::decode(&bytes).unwrap();
        Event { workload: WorkloadKey("host".into()), record, rules: None }
    }

    #[test]
    fn logs_have_their_share_and_no_more() {
        let (sender, events) = channel();
        while sender.has_room_for_log() {
            assert_eq!(sender.send(event(3)), Then::Next);
        }
        assert_eq!(sender.send(event(1)), Then::Next, "an alert has room all the same");
        for _ in 0..LOGS {
            assert_eq!(events.recv_timeout(Duration::ZERO).unwrap().record.kind, RecordKind::Log);
        }
        assert!(sender.has_room_for_log());
        assert_eq!(events.recv_timeout(Duration::ZERO).unwrap().record.kind, RecordKind::Alert);
        assert!(sender.has_room_for_log(), "what was no log gives nothing back");
    }

    #[test]
    fn nobody_listens() {
        let (sender, events) = channel();
        drop(events);
        assert_eq!(sender.send(event(1)), Then::End);
    }
}
