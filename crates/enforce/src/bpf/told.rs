//! [`Told`]: what our programs have reported while those of an earlier run still acted, so that it is not told again.
//!
//! A denial is reported by the program that denies, and the others keep silent. What is permitted with an alert, and what
//! is denied where a program cannot keep the others from running, both report.

use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
};

use wire::{Operation, Record, RecordKind};

/// Different reports that are kept in mind. What goes beyond that is told twice rather than not at all.
const MOST: usize = 1 << 16;

#[derive(Debug, Default)]
pub(super) struct Told {
    counts: HashMap<u64, u32>,
    /// Of those, what the run that is being read has reported, too.
    met: HashMap<u64, u32>,
}

impl Told {
    /// Keeps a report of our own programs in mind.
    pub(super) fn note(&mut self, record: &Record) {
        if is_told_by_both(record) {
            self.add(mark(record));
        }
    }

    /// What comes now was reported by another run.
    pub(super) fn next_run(&mut self) {
        self.met.clear();
    }

    /// Whether a report of the run that is being read has been told already, by our programs or by another run's. If
    /// not, it is from here on.
    pub(super) fn has_been(&mut self, record: &Record) -> bool {
        if !is_told_by_both(record) {
            return false;
        }
        let mark = mark(record);
        let told = self.counts.get(&mark).copied().unwrap_or_default();
        let met = self.met.get(&mark).copied().unwrap_or_default();
        if met < told {
            self.met.insert(mark, met + 1);
            return true;
        }
        if self.add(mark) {
            self.met.insert(mark, met + 1);
        }
        false
    }

    fn add(&mut self, mark: u64) -> bool {
        let room = self.counts.len() < MOST || self.counts.contains_key(&mark);
        if room {
            *self.counts.entry(mark).or_default() += 1;
        }
        room
    }
}

/// Packets pass the programs of all runs, and a program that must not run with what it has open is ended by each.
fn is_told_by_both(record: &Record) -> bool {
    record.kind == RecordKind::Alert
        && (record.result >= 0
            || matches!(record.operation, Operation::DnsQuery | Operation::Inherit))
}

/// What two reports of one access have in common. Each run has its own ids of programs, slots and images.
fn mark(record: &Record) -> u64 {
    let mut hasher = DefaultHasher::new();
    (record.operation, record.flags, record.rule, record.result).hash(&mut hasher);
    (record.host_pid, record.host_ppid, record.uid, record.owner).hash(&mut hasher);
    (record.detail, record.address, record.syscall, record.descriptor).hash(&mut hasher);
    (&record.comm, &record.tty, &record.path, &record.cwd, &record.args).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(operation: Operation, result: i32, path: &str) -> Record {
        let mut bytes = vec![0; wire::HEAD_SIZE];
        for (at, number) in [(0, wire::VERSION), (2, 1), (4, 2)] {
            bytes[at..at + 2].copy_from_slice(&number.to_ne_bytes());
        }
        let record = Record::decode(&bytes).unwrap();
        Record { operation, result, path: path.into(), ..record }
    }

    #[test]
    fn what_both_have_seen_is_told_as_often_as_it_happened() {
        let audit = report(Operation::Open, 0, "/a");
        let mut told = Told::default();
        told.note(&audit);
        told.note(&Record { exec: 7, slot: 9, time: 1, ..audit.clone() });
        // The earlier run saw one more, before ours acted.
        let again: Vec<_> = (0..3).map(|_| told.has_been(&audit)).collect();
        assert_eq!(again, [true, true, false]);
        // A third run saw them all, too.
        told.next_run();
        let again: Vec<_> = (0..4).map(|_| told.has_been(&audit)).collect();
        assert_eq!(again, [true, true, true, false]);
        assert!(!told.has_been(&report(Operation::Open, 0, "/b")));
    }

    #[test]
    fn a_denial_is_told_by_the_one_that_denied() {
        let mut told = Told::default();
        let denial = report(Operation::Open, -13, "/a");
        told.note(&denial);
        assert!(!told.has_been(&denial));
        let packet = report(Operation::DnsQuery, -1, "/a");
        told.note(&packet);
        assert!(told.has_been(&packet));
    }

    #[test]
    fn beyond_its_memory_it_forgets_and_does_not_keep_silent() {
        let mut told = Told::default();
        for at in 0..=MOST {
            told.note(&report(Operation::Open, 0, &at.to_string()));
        }
        assert_eq!(told.counts.len(), MOST);
        let beyond = report(Operation::Open, 0, &MOST.to_string());
        assert!(!told.has_been(&beyond));
        assert!(!told.has_been(&beyond), "nothing is told once and then never again");
    }
}
