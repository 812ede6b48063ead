//! The kernel's messages on their way to the agent: each meets its workload and the rules that decided. Those that
//! earlier runs have left come when theirs are in force no more and somebody wants them.

use std::{
    mem,
    sync::{Arc, PoisonError, RwLock, mpsc::Receiver},
    time::{Duration, Instant},
};

use sensor::{Ring, Tallies, Then, Witness};
use wire::{Record, RecordKind};

use super::{directory::Directory, handover::Handover, told::Told};
use crate::{Event, events::Sender};

/// What clients have to come back after the agent has gone, before they miss what was raised meanwhile.
const RETURN: Duration = Duration::from_secs(10);

/// What the thread that reads the rings does with their messages.
#[derive(Debug)]
pub(super) struct Forwarder {
    directory: Arc<RwLock<Directory>>,
    /// Where the programs learn that an alert takes no room any more; `None`: there are no programs.
    tallies: Option<Tallies>,
    events: Sender,
    earlier: Phase,
    told: Told,
}

/// How far earlier runs have gone.
#[derive(Debug)]
enum Phase {
    /// They may be in force beside ours.
    InForce(Receiver<Handover>),
    /// They report nothing any more, but of what they have reported ours may not all have been seen.
    Ended(Handover),
    /// All that ours reported besides is known.
    Left(Handover, Instant),
    Gone,
}

impl Forwarder {
    /// `earlier` tells when our rules are in force; `None`: there never was an earlier run.
    pub(super) fn new(
        directory: Arc<RwLock<Directory>>,
        tallies: impl Into<Option<Tallies>>,
        events: Sender,
        earlier: Option<Receiver<Handover>>,
    ) -> Self {
        let earlier = earlier.map_or(Phase::Gone, Phase::InForce);
        Self { directory, tallies: tallies.into(), events, earlier, told: Told::default() }
    }
}

impl Witness for Forwarder {
    fn see(&mut self, ring: Ring, message: &[u8]) -> Then {
        if ring == Ring::Logs && !self.events.has_room_for_log() {
            return Then::Later;
        }
        let record = match Record::decode(message) {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(%error, ?ring, "a record of the kernel could not be read");
                return Then::Next;
            }
        };
        let (workload, rules) = {
            let directory = self.directory.read().unwrap_or_else(PoisonError::into_inner);
            (directory.workload(record.slot, record.generation), directory.rules(record.image))
        };
        if let (Ring::Alerts, Some(tallies)) = (ring, &self.tallies) {
            tallies.alert_read(record.slot);
        }
        let Some(workload) = workload else {
            tracing::warn!(slot = record.slot, "a record of a workload that is long gone");
            return Then::Next;
        };
        if matches!(self.earlier, Phase::InForce(_) | Phase::Ended(_)) {
            self.told.note(&record);
        }
        let rules = if record.kind == RecordKind::Alert { rules } else { None };
        self.events.send(Event { workload, record, rules })
    }

    fn seen_all(&mut self) -> Then {
        self.earlier = match mem::replace(&mut self.earlier, Phase::Gone) {
            Phase::InForce(news) => match news.try_recv() {
                Ok(handover) => {
                    handover.wait_until_over();
                    Phase::Ended(handover)
                }
                Err(_) => Phase::InForce(news),
            },
            Phase::Ended(handover) => Phase::Left(handover, Instant::now()),
            Phase::Left(handover, since)
                if self.events.wants_earlier() || since.elapsed() > RETURN =>
            {
                let told = mem::take(&mut self.told);
                return handover.tell(told, &self.events);
            }
            same @ (Phase::Left(..) | Phase::Gone) => same,
        };
        Then::Next
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::{News, WorkloadKey, events::channel};

    fn alert() -> Vec<u8> {
        let mut bytes = vec![0; wire::HEAD_SIZE];
        for (at, number) in [(0, wire::VERSION), (2, 1), (4, 2), (40, 3), (44, 1)] {
            bytes[at..at + 2].copy_from_slice(&number.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn the_account_of_the_gap_comes_when_it_is_wanted_and_once() {
        let directory = Arc::<RwLock<Directory>>::default();
        let (sender, events) = channel();
        let (over, earlier) = mpsc::channel();
        let mut forwarder = Forwarder::new(Arc::clone(&directory), None, sender, Some(earlier));
        let next = || events.recv_timeout(Duration::ZERO);
        directory.write().unwrap().slot_taken(3, 1, &WorkloadKey("web".into()));
        assert_eq!(forwarder.see(Ring::Alerts, &alert()), Then::Next);
        assert!(matches!(next(), Ok(News::Event(event)) if &*event.workload.0 == "web"));
        over.send(Handover::default()).unwrap();
        for _ in 0..4 {
            assert_eq!(forwarder.seen_all(), Then::Next);
        }
        assert!(next().is_err(), "nobody wanted it");
        events.want_earlier();
        assert_eq!(forwarder.seen_all(), Then::Next);
        assert!(matches!(next(), Ok(News::Gap(gap)) if gap.is_empty()));
        assert_eq!(forwarder.seen_all(), Then::Next);
        assert!(next().is_err());
    }

    #[test]
    fn what_an_earlier_run_may_report_as_well_is_kept_in_mind_until_it_cannot() {
        let directory = Arc::<RwLock<Directory>>::default();
        let (sender, _events) = channel();
        let (over, earlier) = mpsc::channel();
        let mut forwarder = Forwarder::new(Arc::clone(&directory), None, sender, Some(earlier));
        directory.write().unwrap().slot_taken(3, 1, &WorkloadKey("web".into()));
        let record = Record::decode(&alert()).unwrap();
        forwarder.see(Ring::Alerts, &alert());
        over.send(Handover::default()).unwrap();
        for _ in 0..3 {
            forwarder.seen_all();
        }
        forwarder.see(Ring::Alerts, &alert());
        assert_eq!(
            (forwarder.told.has_been(&record), forwarder.told.has_been(&record)),
            (true, false)
        );
    }
}
