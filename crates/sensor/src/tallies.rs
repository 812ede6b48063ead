//! [`Tallies`]: what the programs count of each slot, for whoever keeps the accounts.

use std::sync::{Arc, atomic::Ordering};

use crate::shared::{Mapping, SLOTS, Slot};

/// Records that the programs made and could not hand over. Each number only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    pub alerts: u64,
    pub logs: u64,
}

impl Lost {
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// What has come since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            alerts: self.alerts.wrapping_sub(before.alerts),
            logs: self.logs.wrapping_sub(before.logs),
        }
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            alerts: self.alerts.wrapping_add(other.alerts),
            logs: self.logs.wrapping_add(other.logs),
        }
    }
}

/// Cheap to clone; all clones look at the same memory.
#[derive(Clone, Debug)]
pub struct Tallies {
    slots: Arc<Mapping>,
    settings: Arc<Mapping>,
}

impl Tallies {
    pub(crate) fn new(slots: &Arc<Mapping>, settings: &Arc<Mapping>) -> Self {
        Self { slots: Arc::clone(slots), settings: Arc::clone(settings) }
    }

    /// Of a slot, whoever has had it.
    pub fn lost(&self, slot: u32) -> Lost {
        let slot = self.slot(slot);
        Lost {
            alerts: slot.lost_alerts.load(Ordering::Relaxed),
            logs: slot.lost_logs.load(Ordering::Relaxed),
        }
    }

    /// What was lost before it was known whose it is.
    pub fn lost_by_nobody(&self) -> Lost {
        let counters = self.settings.settings().counters();
        Lost { alerts: counters.lost_alerts, logs: counters.lost_logs }
    }

    /// Of all slots and of nobody.
    pub fn lost_in_all(&self) -> Lost {
        (0..SLOTS).map(|slot| self.lost(slot)).fold(self.lost_by_nobody(), Lost::plus)
    }

    /// Tells the programs that an alert of the slot takes no room in the ring any more: each has its share.
    pub fn alert_read(&self, slot: u32) {
        self.slot(slot).read_alerts.fetch_add(1, Ordering::Relaxed);
    }

    fn slot(&self, slot: u32) -> &Slot {
        &self.slots.slots()[slot as usize % SLOTS as usize]
    }
}
