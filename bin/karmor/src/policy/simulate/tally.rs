//! What was recorded, counted: equal accesses of one workload are one entry, however often they happened.

use std::collections::{BTreeMap, HashMap};

use ruleset::Workload;
use serde_json::Value;

use super::event::{self, Doing, Recorded, Unfit};

/// How many different accesses are kept.
const MOST: usize = 1 << 20;
const TOO_MANY: &str = "is one of more different accesses than are kept";

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) events: u64,
    /// Events of the agent about itself.
    pub(super) own: u64,
    pub(super) accesses: HashMap<(Workload, Doing), Entry>,
    pub(super) unfit: Unjudged,
}

/// How often an access was recorded, by how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) denied: u64,
    pub(super) alerted: u64,
    pub(super) permitted: u64,
    pub(super) failed: u64,
    pub(super) first: String,
    pub(super) last: String,
    /// Where it was met first.
    pub(super) place: String,
}

/// Events that could not be judged, by the reason, with the place of the first.
#[derive(Debug, Default)]
pub(super) struct Unjudged(pub(super) BTreeMap<String, (u64, String)>);

impl Unjudged {
    pub(super) fn add(&mut self, reason: &str, times: u64, place: impl FnOnce() -> String) {
        if let Some((count, _)) = self.0.get_mut(reason) {
            *count += times;
        } else {
            self.0.insert(reason.to_owned(), (times, place()));
        }
    }
}

impl Tally {
    pub(super) fn take(&mut self, value: &Value, place: impl FnOnce() -> String) {
        let event = match event::read(value) {
            Ok(event) => event,
            Err(Unfit::Reason(reason)) => return self.refuse(reason, place),
            Err(Unfit::Own) => {
                self.events += 1;
                self.own += 1;
                return;
            }
        };
        self.events += event.times;
        let key = (event.workload, event.doing);
        if self.accesses.len() >= MOST && !self.accesses.contains_key(&key) {
            self.unfit.add(TOO_MANY, event.times, place);
            return;
        }
        let entry = self.accesses.entry(key).or_insert_with(|| Entry {
            first: event.time.clone(),
            last: event.time.clone(),
            place: place(),
            ..Entry::default()
        });
        let count = match event.recorded {
            Recorded::Denied => &mut entry.denied,
            Recorded::Alerted => &mut entry.alerted,
            Recorded::Permitted => &mut entry.permitted,
            Recorded::Failed => &mut entry.failed,
        };
        *count += event.times;
        // The times are UTC in one format, so they sort as text.
        entry.first = event.time.clone().min(std::mem::take(&mut entry.first));
        entry.last = event.time.max(std::mem::take(&mut entry.last));
    }

    /// Counts what cannot be judged.
    pub(super) fn refuse(&mut self, reason: &str, place: impl FnOnce() -> String) {
        self.events += 1;
        self.unfit.add(reason, 1, place);
    }
}

impl Entry {
    pub(super) fn events(&self) -> u64 {
        self.denied + self.alerted + self.permitted + self.failed
    }
}
