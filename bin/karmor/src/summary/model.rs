//! What workloads did and what was denied to them: events in, a bounded account out.

use std::collections::BTreeMap;

use super::doing::{Doing, Kind};
use crate::event::{Event, Place};

/// Different things done that are kept, of all workloads together.
const MOST: usize = 50_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) times: u64,
    /// Of these, so many failed for a reason that is no policy's.
    pub(super) failed: u64,
    pub(super) last: String,
}

#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) workloads: BTreeMap<Place, BTreeMap<Doing, Count>>,
    kept: usize,
    /// Events that tell of more different things than are kept.
    pub(super) left_out: u64,
    /// Events that tell nothing new, such as the second form of a connection, or nothing that has a place here.
    pub(super) passed_over: u64,
    pub(super) first: String,
    pub(super) last: String,
}

/// How it is counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Manner {
    /// Empty for all.
    pub(super) kinds: Vec<Kind>,
    /// Files count for their directories.
    pub(super) by_directory: bool,
}

impl Summary {
    pub(super) fn take(&mut self, event: &Event, manner: &Manner) {
        let doings = Doing::of(event, manner.by_directory);
        if doings.is_empty() {
            self.passed_over += event.times;
            return;
        }
        let chosen = |doing: &Doing| manner.kinds.is_empty() || manner.kinds.contains(&doing.kind);
        for doing in doings.into_iter().filter(chosen) {
            self.add(doing, event);
        }
    }

    fn add(&mut self, doing: Doing, event: &Event) {
        if self.first.is_empty() || event.time < self.first {
            self.first.clone_from(&event.time);
        }
        if event.time > self.last {
            self.last.clone_from(&event.time);
        }
        let place = event.place();
        let known = self.workloads.get(&place).is_some_and(|doings| doings.contains_key(&doing));
        if !known && self.kept >= MOST {
            self.left_out += event.times;
            return;
        }
        self.kept += usize::from(!known);
        let failed = !event.passed() && event.alert.is_none();
        let count = self.workloads.entry(place).or_default().entry(doing).or_default();
        count.times += event.times;
        count.failed += if failed { event.times } else { 0 };
        if event.time > count.last {
            count.last.clone_from(&event.time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(container: &str, file: &str, time: &str, result: &str) -> Event {
        Event {
            container: container.into(),
            operation: "File".into(),
            process: "/bin/cat".into(),
            resource: file.into(),
            file_use: Some(crate::event::FileUse::Read),
            result: result.into(),
            time: time.into(),
            times: 2,
            ..Event::default()
        }
    }

    #[test]
    fn equal_doings_of_a_workload_are_counted_together() {
        let mut summary = Summary::default();
        let manner = Manner::default();
        summary.take(&read("web", "/a", "2", "Passed"), &manner);
        summary.take(&read("web", "/a", "1", "Input/output error"), &manner);
        summary.take(&read("db", "/a", "3", "Passed"), &manner);
        assert_eq!(summary.workloads.len(), 2);
        let web = summary.workloads.iter().find(|(place, _)| place.container == "web").unwrap().1;
        let expected = Count { times: 4, failed: 2, last: "2".into() };
        assert_eq!(web.values().collect::<Vec<_>>(), [&expected]);
        assert_eq!((summary.first.as_str(), summary.last.as_str()), ("1", "3"));
    }

    #[test]
    fn only_what_was_asked_for_and_directories_for_files() {
        let mut summary = Summary::default();
        let manner = Manner { kinds: vec![Kind::Read], by_directory: true };
        summary.take(&read("web", "/srv/a", "1", "Passed"), &manner);
        summary.take(&read("web", "/srv/b", "1", "Passed"), &manner);
        let process =
            Event { operation: "Process".into(), ..read("web", "/bin/true", "9", "Passed") };
        summary.take(&process, &manner);
        let web = summary.workloads.values().next().unwrap();
        let objects: Vec<&str> = web.keys().map(|doing| doing.object.as_str()).collect();
        assert_eq!((objects, summary.last.as_str()), (vec!["/srv/"], "1"));
    }

    #[test]
    fn what_is_not_kept_is_counted() {
        let mut summary = Summary::default();
        for number in 0..MOST + 3 {
            let file = format!("/{number}");
            summary.take(&read("web", &file, "1", "Passed"), &Manner::default());
        }
        assert_eq!(summary.left_out, 6);
        let own = Event { operation: "AlertThreshold".into(), times: 1, ..Event::default() };
        summary.take(&own, &Manner::default());
        assert_eq!(summary.passed_over, 1);
    }
}
