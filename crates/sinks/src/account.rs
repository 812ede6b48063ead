//! The account of a sink: where each event that it was given is, and why those that are nowhere were dropped.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Why an event will not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DropReason {
    /// The queue had no room, and the spool did not relieve it in time.
    QueueFull,
    /// The spool had no room for it beside newer ones.
    SpoolFull,
    /// The peer does not take it, and would not at another time.
    Refused,
    /// What the spool held of it cannot be read any more.
    Unreadable,
    /// The sink ended and had no spool to leave it in.
    Ended,
}

impl DropReason {
    pub const ALL: [Self; 5] =
        [Self::QueueFull, Self::SpoolFull, Self::Refused, Self::Unreadable, Self::Ended];

    /// As metrics and documents name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queueFull",
            Self::SpoolFull => "spoolFull",
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
            Self::Ended => "ended",
        }
    }
}

/// Dropped events by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops([u64; DropReason::ALL.len()]);

impl Drops {
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// What became of the events of one sink, as of one moment: `received = delivered + waiting + spooled + dropped`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkAccount {
    pub name: String,
    /// `otlp`, `kafka`, ...
    pub kind: &'static str,
    /// What passed the filter, and what an earlier run of the agent had left in the spool.
    pub received: u64,
    /// What the peer has taken; of UDP and TCP syslog, what was sent.
    pub delivered: u64,
    /// In memory, being sent included.
    pub waiting: u64,
    /// On disk, and not being sent.
    pub spooled: u64,
    pub dropped: Drops,
    /// Of what was delivered, what had to be cut to a datagram's length.
    pub truncated: u64,
    /// Attempts that the peer did not answer with success.
    pub failures: u64,
    /// Bytes of the spool's files.
    pub spool_bytes: u64,
    /// What keeps the peer from taking anything; empty while it does.
    pub problem: String,
}

/// Where an event can be that is not dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Waiting,
    Spooled,
    Delivered,
}

/// The one writer of an account. Each change is made at once, so that every snapshot adds up.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<SinkAccount>);

impl Ledger {
    pub(crate) fn new(name: &str, kind: &'static str) -> Self {
        Self(Mutex::new(SinkAccount { name: name.to_owned(), kind, ..SinkAccount::default() }))
    }

    pub(crate) fn snapshot(&self) -> SinkAccount {
        self.change(|account| account.clone())
    }

    pub(crate) fn received(&self, place: Place, count: u64) {
        self.change(|account| {
            account.received += count;
            *account.at(place) += count;
        });
    }

    pub(crate) fn received_and_dropped(&self, reason: DropReason, count: u64) {
        self.change(|account| {
            account.received += count;
            account.dropped.0[reason as usize] += count;
        });
    }

    pub(crate) fn moved(&self, from: Place, to: Place, count: u64) {
        self.change(|account| {
            *account.at(from) -= count;
            *account.at(to) += count;
        });
    }

    pub(crate) fn dropped(&self, from: Place, reason: DropReason, count: u64) {
        self.change(|account| {
            *account.at(from) -= count;
            account.dropped.0[reason as usize] += count;
        });
    }

    /// For what is no event: failures, sizes, the state of the peer.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut SinkAccount) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SinkAccount {
    fn at(&mut self, place: Place) -> &mut u64 {
        match place {
            Place::Waiting => &mut self.waiting,
            Place::Spooled => &mut self.spooled,
            Place::Delivered => &mut self.delivered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_in_one_place() {
        let ledger = Ledger::new("a", "otlp");
        ledger.received(Place::Waiting, 5);
        ledger.received_and_dropped(DropReason::QueueFull, 2);
        ledger.moved(Place::Waiting, Place::Spooled, 3);
        ledger.dropped(Place::Spooled, DropReason::SpoolFull, 1);
        ledger.moved(Place::Waiting, Place::Delivered, 2);
        let account = ledger.snapshot();
        assert_eq!((account.received, account.delivered, account.waiting), (7, 2, 0));
        assert_eq!((account.spooled, account.dropped.total()), (2, 3));
        assert_eq!(account.dropped.of(DropReason::QueueFull), 2);
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
