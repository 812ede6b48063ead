//! What containers do, counted: events in, rows out. Memory is bounded; what has no row any more is counted too.

use std::{
    collections::HashMap,
    ops::{Index, IndexMut},
};

use crate::event::Event;

/// Rows of one class and one kind that are kept.
pub(super) const MOST: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    Process,
    File,
    Network,
    Syscall,
    Capabilities,
}

impl Class {
    pub(super) const ALL: [Self; 5] =
        [Self::Process, Self::File, Self::Network, Self::Syscall, Self::Capabilities];

    /// As `Operation` spells it, and the exported file.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Process => "Process",
            Self::File => "File",
            Self::Network => "Network",
            Self::Syscall => "Syscall",
            Self::Capabilities => "Capabilities",
        }
    }

    fn of(operation: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == operation)
    }
}

/// Which events are one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Grouping {
    /// Those of a process in a container, as clients of the ecosystem have it. The resource shown is the first.
    #[default]
    Together,
    /// Those on one resource with one result.
    Apart,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// `Container` or `Host`.
    pub(super) source: &'static str,
    /// `--` for a host, as the container's name.
    pub(super) namespace: String,
    pub(super) container: String,
    pub(super) process: String,
    pub(super) resource: String,
    pub(super) result: String,
    pub(super) count: u64,
    /// Of the last event.
    pub(super) time: String,
}

/// Rows in the order in which they were met.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    list: Vec<Row>,
    places: HashMap<Vec<String>, usize>,
    /// Events that have no row, since there are [`MOST`] others.
    pub(super) left_out: u64,
}

/// All that was counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Profile {
    together: PerClass,
    apart: PerClass,
    pub(super) events: u64,
}

#[derive(Clone, Debug, Default)]
struct PerClass([Rows; Class::ALL.len()]);

impl Index<Class> for PerClass {
    type Output = Rows;

    fn index(&self, class: Class) -> &Rows {
        &self.0[class as usize]
    }
}

impl IndexMut<Class> for PerClass {
    fn index_mut(&mut self, class: Class) -> &mut Rows {
        &mut self.0[class as usize]
    }
}

impl Profile {
    /// False if it is of no class.
    pub(super) fn take(&mut self, event: &Event) -> bool {
        let Some(class) = Class::of(&event.operation) else { return false };
        self.events += event.times;
        let row = row(class, event);
        let (result, resource) = (row.result.clone(), row.resource.clone());
        let process = [&row.namespace, &row.container, &row.process].map(Clone::clone);
        self.together[class].add(process.to_vec(), row.clone());
        self.apart[class].add([process.as_slice(), &[resource, result]].concat(), row);
        true
    }

    pub(super) fn rows(&self, class: Class, grouping: Grouping) -> &Rows {
        match grouping {
            Grouping::Together => &self.together[class],
            Grouping::Apart => &self.apart[class],
        }
    }
}

fn row(class: Class, event: &Event) -> Row {
    let name = |name: &String| if event.is_of_host() { "--".to_owned() } else { name.clone() };
    Row {
        source: if event.is_of_host() { "Host" } else { "Container" },
        namespace: name(&event.namespace),
        container: name(&event.container),
        process: event.process.clone(),
        resource: if class == Class::Syscall { &event.data } else { &event.resource }.clone(),
        result: event.result.clone(),
        count: event.times,
        time: event.time.clone(),
    }
}

impl Rows {
    fn add(&mut self, key: Vec<String>, row: Row) {
        if let Some(&known) = self.places.get(&key) {
            let known = &mut self.list[known];
            known.count += row.count;
            known.time = row.time;
        } else if self.list.len() < MOST {
            self.places.insert(key, self.list.len());
            self.list.push(row);
        } else {
            self.left_out += row.count;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Those that `filter` leaves, in this order.
    pub(super) fn sorted(&self, filter: &str, order: Order) -> Vec<&Row> {
        let filter = filter.to_lowercase();
        let mut rows: Vec<&Row> = self.list.iter().filter(|row| row.has(&filter)).collect();
        rows.sort_by(|a, b| order.compare(a, b));
        rows
    }
}

impl Row {
    /// What settles the order.
    fn names(&self) -> (&str, &str, &str, u64, &str) {
        (&self.namespace, &self.container, &self.process, self.count, &self.resource)
    }

    /// In any of the fields that are text; `text` in small letters.
    fn has(&self, text: &str) -> bool {
        let fields =
            [&self.namespace, &self.container, &self.process, &self.resource, &self.result];
        text.is_empty() || fields.iter().any(|field| field.to_lowercase().contains(text))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SortBy {
    /// Namespace, container, process, count, resource.
    #[default]
    Name,
    Process,
    Resource,
    Result,
    Count,
    Time,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) by: SortBy,
    pub(super) reversed: bool,
}

impl SortBy {
    pub(super) const ALL: [Self; 6] =
        [Self::Name, Self::Process, Self::Resource, Self::Result, Self::Count, Self::Time];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Process => "process",
            Self::Resource => "resource",
            Self::Result => "result",
            Self::Count => "count",
            Self::Time => "time",
        }
    }

    pub(super) fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }
}

impl Order {
    /// The most and the latest come first, texts go from A to Z, unless reversed. Names settle what is equal.
    fn compare(self, a: &Row, b: &Row) -> std::cmp::Ordering {
        let by_name = || a.names().cmp(&b.names());
        let order = match self.by {
            SortBy::Name => by_name(),
            SortBy::Process => a.process.cmp(&b.process),
            SortBy::Resource => a.resource.cmp(&b.resource),
            SortBy::Result => a.result.cmp(&b.result),
            SortBy::Count => b.count.cmp(&a.count),
            SortBy::Time => b.time.cmp(&a.time),
        };
        let order = if self.reversed { order.reverse() } else { order };
        order.then_with(by_name)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::profile) fn event(container: &str, process: &str, resource: &str) -> Event {
        Event {
            namespace: "shop".into(),
            container: container.into(),
            kind: "ContainerLog".into(),
            operation: "File".into(),
            process: process.into(),
            resource: resource.into(),
            result: "Passed".into(),
            time: "2026-01-02T03:04:05.000000Z".into(),
            times: 1,
            ..Event::default()
        }
    }

    fn events(rows: &Rows) -> u64 {
        rows.list.iter().map(|row| row.count).sum::<u64>() + rows.left_out
    }

    fn resources(rows: &[&Row]) -> Vec<String> {
        rows.iter().map(|row| format!("{}x{}", row.resource, row.count)).collect()
    }

    #[test]
    fn a_row_is_what_a_process_of_a_container_does_or_does_to_one_resource() {
        let mut profile = Profile::default();
        profile.take(&event("web", "/bin/cat", "/a"));
        let later = Event { time: "later".into(), times: 3, ..event("web", "/bin/cat", "/b") };
        profile.take(&later);
        profile.take(&event("db", "/bin/cat", "/a"));
        let together = profile.rows(Class::File, Grouping::Together);
        assert_eq!(resources(&together.sorted("", Order::default())), ["/ax1", "/ax4"]);
        assert_eq!(together.sorted("web", Order::default())[0].time, "later");
        let apart = profile.rows(Class::File, Grouping::Apart);
        assert_eq!(resources(&apart.sorted("WEB", Order::default())), ["/ax1", "/bx3"]);
        assert_eq!((profile.events, events(apart)), (5, 5));
        assert_eq!(profile.rows(Class::Process, Grouping::Apart).len(), 0);
    }

    #[test]
    fn results_keep_rows_apart() {
        let mut profile = Profile::default();
        profile.take(&event("web", "/bin/cat", "/a"));
        let denied = Event { result: "Permission denied".into(), ..event("web", "/bin/cat", "/a") };
        profile.take(&denied);
        assert_eq!(profile.rows(Class::File, Grouping::Together).len(), 1);
        assert_eq!(profile.rows(Class::File, Grouping::Apart).len(), 2);
    }

    #[test]
    fn a_host_has_dashes_and_a_call_shows_its_data() {
        let mut profile = Profile::default();
        let call = Event {
            container: String::new(),
            operation: "Syscall".into(),
            data: "syscall=SYS_PTRACE".into(),
            ..event("", "/bin/gdb", "/x")
        };
        assert!(profile.take(&call));
        let row = profile.rows(Class::Syscall, Grouping::Together).sorted("", Order::default())[0];
        assert_eq!(
            (row.source, row.namespace.as_str(), row.container.as_str()),
            ("Host", "--", "--")
        );
        assert_eq!(row.resource, "syscall=SYS_PTRACE");
        assert!(!profile.take(&Event { operation: "AlertThreshold".into(), ..call }));
    }

    #[test]
    fn what_has_no_row_is_counted() {
        let mut profile = Profile::default();
        for number in 0..MOST + 5 {
            profile.take(&event("web", "/bin/cat", &number.to_string()));
        }
        let apart = profile.rows(Class::File, Grouping::Apart);
        assert_eq!((apart.len(), apart.left_out), (MOST, 5));
        let together = profile.rows(Class::File, Grouping::Together);
        assert_eq!((together.len(), together.left_out), (1, 0));
        assert_eq!(events(apart), events(together));
    }

    #[test]
    fn sorting() {
        let mut profile = Profile::default();
        for (resource, times) in [("/b", 5), ("/a", 1), ("/c", 3)] {
            profile.take(&Event { times, ..event("web", "/bin/cat", resource) });
        }
        let rows = profile.rows(Class::File, Grouping::Apart);
        let by = |by, reversed| resources(&rows.sorted("", Order { by, reversed }));
        assert_eq!(by(SortBy::Name, false), ["/ax1", "/cx3", "/bx5"]);
        assert_eq!(by(SortBy::Resource, false), ["/ax1", "/bx5", "/cx3"]);
        assert_eq!(by(SortBy::Count, false), ["/bx5", "/cx3", "/ax1"]);
        assert_eq!(by(SortBy::Count, true), ["/ax1", "/cx3", "/bx5"]);
    }
}
