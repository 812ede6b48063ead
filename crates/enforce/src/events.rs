//! [`Events`]: what the kernel reported, on its way to the agent. Logs have a small share of the queue, so that however
//! many there are, an alert waits behind few of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::Duration,
};

use sensor::Then;
use wire::RecordKind;

use crate::{Event, Gap};

/// Events that wait for the agent; when it is full the kernel's rings fill up and count what they lose.
const QUEUE: usize = 16 * 1024;
/// Logs among them.
const LOGS: usize = 1024;

/// What the agent gets.
#[derive(Clone, Debug)]
pub enum News {
    Event(Event),
    /// All that could be told of the time without an agent has been told; this is what became of it.
    Gap(Gap),
}

/// The agent's end.
#[derive(Debug)]
pub struct Events {
    queue: Receiver<News>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Sender {
    queue: SyncSender<News>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    logs: AtomicUsize,
    /// Alerts of the time without an agent are wanted.
    earlier: AtomicBool,
}

pub(crate) fn channel() -> (Sender, Events) {
    let (sender, receiver) = sync_channel(QUEUE);
    let shared = Arc::<Shared>::default();
    let sender = Sender { queue: sender, shared: Arc::clone(&shared) };
    (sender, Events { queue: receiver, shared })
}

impl Events {
    /// The next news, or an error when none come in time or no more will come.
    pub fn recv_timeout(&self, limit: Duration) -> Result<News, RecvTimeoutError> {
        let news = self.queue.recv_timeout(limit)?;
        if let News::Event(event) = &news
            && event.record.kind == RecordKind::Log
        {
            self.shared.logs.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(news)
    }

    /// Has the alerts told that were raised while no agent read them: before, nobody might hear them. They stay in the
    /// kernel until then.
    pub fn want_earlier(&self) {
        self.shared.earlier.store(true, Ordering::Relaxed);
    }
}

impl Sender {
    /// Whether one more log has room.
    pub(crate) fn has_room_for_log(&self) -> bool {
        self.shared.logs.load(Ordering::Relaxed) < LOGS
    }

    pub(crate) fn wants_earlier(&self) -> bool {
        self.shared.earlier.load(Ordering::Relaxed)
    }

    /// Waits for room, except for that of a log: ask first.
    pub(crate) fn send(&self, event: Event) -> Then {
        if event.record.kind == RecordKind::Log {
            self.shared.logs.fetch_add(1, Ordering::Relaxed);
        }
        self.pass_on(News::Event(event))
    }

    pub(crate) fn send_gap(&self, gap: Gap) -> Then {
        self.pass_on(News::Gap(gap))
    }

    fn pass_on(&self, news: News) -> Then {
        match self.queue.send(news) {
            Ok(()) => Then::Next,
            Err(_gone) => Then::End,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkloadKey;

    fn kind(events: &Events) -> RecordKind {
        match events.recv_timeout(Duration::ZERO).unwrap() {
            News::Event(event) => event.record.kind,
            News::Gap(gap) => panic!("{gap}"),
        }
    }

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
            assert_eq!(kind(&events), RecordKind::Log);
        }
        assert!(sender.has_room_for_log());
        assert_eq!(kind(&events), RecordKind::Alert);
        assert!(sender.has_room_for_log(), "what was no log gives nothing back");
    }

    #[test]
    fn nobody_listens() {
        let (sender, events) = channel();
        drop(events);
        assert_eq!(sender.send(event(1)), Then::End);
    }
}
