//! [`Losses`]: what the kernel could not hand over, by workload.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sensor::{Lost, Tallies};

use crate::WorkloadKey;

/// What was lost in a slot, since the programs were loaded.
type Counters = Box<dyn Fn(u32) -> Lost + Send>;

/// Cheap to clone. Losses are handed out once, whoever asks: there is to be one who keeps the accounts.
#[derive(Clone)]
pub struct Losses(Arc<Mutex<Ledger<Counters>>>);

/// Where slot 0, which nobody has, stands for what is nobody's.
struct Ledger<L> {
    lost: L,
    tenants: HashMap<u32, WorkloadKey>,
    seen: HashMap<u32, Lost>,
    /// Of workloads that have left their slots.
    left: Vec<(WorkloadKey, Lost)>,
    /// Alerts that were handed out.
    taken: u64,
}

impl std::fmt::Debug for Losses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Losses").finish_non_exhaustive()
    }
}

impl Losses {
    pub(crate) fn new(tallies: Tallies) -> Self {
        let lost = move |slot| match slot {
            0 => tallies.lost_by_nobody(),
            slot => tallies.lost(slot),
        };
        let mut ledger = Ledger::new(Box::new(lost) as Counters);
        ledger.taken(0, &WorkloadKey("".into()));
        Self(Arc::new(Mutex::new(ledger)))
    }

    pub(crate) fn taken(&self, slot: u32, workload: &WorkloadKey) {
        self.ledger().taken(slot, workload);
    }

    pub(crate) fn left(&self, slot: u32) {
        self.ledger().left(slot);
    }

    /// What was lost since this was last asked. The empty key stands for what was lost before it was known whose it is.
    pub fn take(&self) -> Vec<(WorkloadKey, Lost)> {
        self.ledger().take()
    }

    /// How many alerts have been told of as lost, all in all.
    pub(crate) fn taken_alerts(&self) -> u64 {
        self.ledger().taken
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger<Counters>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L: Fn(u32) -> Lost> Ledger<L> {
    fn new(lost: L) -> Self {
        Self { lost, tenants: HashMap::new(), seen: HashMap::new(), left: Vec::new(), taken: 0 }
    }

    fn taken(&mut self, slot: u32, workload: &WorkloadKey) {
        // What was lost in the slot before is not this workload's.
        self.seen.insert(slot, (self.lost)(slot));
        self.tenants.insert(slot, workload.clone());
    }

    fn left(&mut self, slot: u32) {
        let Some(workload) = self.tenants.remove(&slot) else { return };
        let lost = self.news(slot);
        if !lost.is_none() {
            self.left.push((workload, lost));
        }
    }

    fn take(&mut self) -> Vec<(WorkloadKey, Lost)> {
        let mut all = std::mem::take(&mut self.left);
        let slots: Vec<_> = self.tenants.iter().map(|(slot, key)| (*slot, key.clone())).collect();
        for (slot, workload) in slots {
            let lost = self.news(slot);
            if !lost.is_none() {
                all.push((workload, lost));
            }
        }
        self.taken += all.iter().map(|(_, lost)| lost.alerts).sum::<u64>();
        all
    }

    fn news(&mut self, slot: u32) -> Lost {
        let now = (self.lost)(slot);
        let before = self.seen.insert(slot, now).unwrap_or_default();
        now.since(before)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;

    fn key(name: &str) -> WorkloadKey {
        WorkloadKey(name.into())
    }

    fn alerts(alerts: u64) -> Lost {
        Lost { alerts, logs: 0 }
    }

    #[test]
    fn each_loss_is_told_once_and_to_its_workload() {
        let kernel = Rc::new(RefCell::new(HashMap::from([(1, alerts(5))])));
        let counters = Rc::clone(&kernel);
        let mut ledger =
            Ledger::new(move |slot| counters.borrow().get(&slot).copied().unwrap_or_default());
        ledger.taken(1, &key("a"));
        assert!(ledger.take().is_empty(), "five were lost before its time");
        kernel.borrow_mut().insert(1, alerts(7));
        assert_eq!(ledger.take(), [(key("a"), alerts(2))]);
        assert!(ledger.take().is_empty());
        kernel.borrow_mut().insert(1, alerts(8));
        ledger.left(1);
        kernel.borrow_mut().insert(1, alerts(9));
        ledger.taken(1, &key("b"));
        kernel.borrow_mut().insert(1, alerts(12));
        assert_eq!(ledger.take(), [(key("a"), alerts(1)), (key("b"), alerts(3))]);
        assert_eq!(ledger.taken, 6);
    }
}
