//! Sinks and the log file: what is to be there once, though every replica has it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use feed::{Feed, Relayed, metrics::Families};
use telemetry::Delivery;

use crate::{
    held::Held,
    replicas::{Gone, LAPSE, Renewal, Replicas},
};

/// Which streams the log file has, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    pub alerts: bool,
    pub logs: bool,
    pub messages: bool,
}

impl Default for Lines {
    fn default() -> Self {
        Self { alerts: true, logs: true, messages: false }
    }
}

impl Lines {
    fn have(self, item: &Relayed) -> bool {
        match item {
            Relayed::Alert(_) => self.alerts,
            Relayed::Log(_) => self.logs,
            Relayed::Message(_) => self.messages,
        }
    }
}

pub(crate) struct Outlets {
    feed: Feed,
    lines: Lines,
    /// `None`: this is the only replica.
    sharing: Option<Mutex<Sharing>>,
}

struct Sharing {
    replicas: Replicas,
    began: Instant,
    /// The others are known; before that nothing is put out.
    heard: bool,
    held: Held,
}

impl Outlets {
    /// `replica` is the name of this one among others.
    pub(crate) fn new(feed: Feed, lines: Lines, replica: Option<String>, now: Instant) -> Self {
        let sharing = replica.map(|own| {
            let replicas = Replicas::new(own);
            Mutex::new(Sharing { replicas, began: now, heard: false, held: Held::default() })
        });
        Self { feed, lines, sharing }
    }

    /// Puts the item out if it is this replica's to do; else holds it for the case that the other is gone.
    pub(crate) fn put_out(&self, node: &Arc<str>, item: &Relayed) -> Delivery {
        let line = self.lines.have(item);
        if !self.feed.puts_out(item.stream(), line) {
            return Delivery::Complete;
        }
        if let Some(mut sharing) = self.sharing()
            && !(sharing.heard && sharing.replicas.has(node))
        {
            sharing.held.hold(node, item.clone(), Instant::now());
            return Delivery::Complete;
        }
        self.feed.put_out(item, line)
    }

    /// All Leases as they are now. Returns those that nobody renews.
    pub(crate) fn hear(&self, leases: &[Renewal], now: Instant) -> Vec<String> {
        let Some(mut sharing) = self.sharing() else { return Vec::new() };
        let heard = sharing.replicas.hear(leases, now);
        let taken = sharing.take_over(&heard.gone);
        drop(sharing);
        for (_, item) in taken {
            // The sinks' own accounts tell what they had no room for.
            let _ = self.feed.put_out(&item, self.lines.have(&item));
        }
        heard.stale
    }

    /// Nobody could be asked. One that has never heard of others, and for long, acts alone.
    pub(crate) fn hear_nothing(&self, now: Instant) {
        let alone = self.sharing().is_some_and(|sharing| {
            !sharing.heard && now.saturating_duration_since(sharing.began) >= LAPSE
        });
        if alone {
            self.hear(&[], now);
        }
    }

    pub(crate) fn collect(&self, families: &mut Families) {
        let Some(sharing) = self.sharing() else { return };
        families
            .gauge("kubearmor_relay_replicas", "Replicas that share sinks, this one included")
            .sample(&[], sharing.replicas.living().count());
        families
            .gauge(
                "kubearmor_relay_held",
                "Events that another replica puts out, held until it is sure that it has",
            )
            .sample(&[], sharing.held.len());
        families
            .counter(
                "kubearmor_relay_held_given_up_total",
                "Such events that were given up before that, for want of room",
            )
            .sample(&[], sharing.held.given_up);
    }

    fn sharing(&self) -> Option<MutexGuard<'_, Sharing>> {
        let sharing = self.sharing.as_ref()?;
        Some(sharing.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sharing {
    /// What has to be put out here since others are gone, or since it is known now who has what.
    fn take_over(&mut self, gone: &[Gone]) -> Vec<(Arc<str>, Relayed)> {
        let first = !std::mem::replace(&mut self.heard, true);
        if !first && gone.is_empty() {
            return Vec::new();
        }
        let (replicas, began) = (&self.replicas, self.began);
        self.held.take(|node| {
            if !replicas.has(node) {
                return None;
            }
            if first { Some(began) } else { replicas.had_beside(gone, node) }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use feed::{FeedOptions, LogPath, Rotation, proto::feeder::Alert};

    use super::*;

    fn alert(node: &str, number: u64) -> (Arc<str>, Relayed) {
        let policy_name = format!("{node} {number}");
        (node.into(), Relayed::Alert(Box::new(Alert { policy_name, ..Alert::default() })))
    }

    /// Two replicas that have the same events, each with a file.
    struct Replica {
        outlets: Outlets,
        feed: Feed,
        directory: tempfile::TempDir,
    }

    impl Replica {
        fn new(name: &str, now: Instant) -> Self {
            let feed = Feed::new(FeedOptions::default());
            let directory = tempfile::tempdir().unwrap();
            let path = LogPath::File(directory.path().join("lines"));
            feed.write_to(&path, Rotation { bytes: 0, files: 0 }).unwrap();
            let outlets = Outlets::new(feed.clone(), Lines::default(), Some(name.to_owned()), now);
            Self { outlets, feed, directory }
        }

        fn written(&self) -> Vec<String> {
            self.feed.flush();
            let text = std::fs::read_to_string(self.directory.path().join("lines")).unwrap();
            let name = |line: &str| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                line["PolicyName"].as_str().unwrap().to_owned()
            };
            text.lines().map(name).collect()
        }
    }

    #[test]
    fn each_event_is_put_out_by_one_and_by_the_other_where_that_one_is_gone() {
        let now = Instant::now();
        let (a, b) = (Replica::new("a", now), Replica::new("b", now));
        let nodes: Vec<String> = (0..20).map(|number| format!("node-{number}")).collect();
        let tell = |replica: &Replica, number| {
            for (node, item) in nodes.iter().map(|node| alert(node, number)) {
                assert_eq!(replica.outlets.put_out(&node, &item), Delivery::Complete);
            }
        };
        // Before anything is known of others, everything is held.
        tell(&a, 1);
        tell(&b, 1);
        assert!(a.written().is_empty() && b.written().is_empty());
        let both = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "1".to_owned())];
        a.outlets.hear(&both, now);
        b.outlets.hear(&both, now);
        let mut together = [a.written(), b.written()].concat();
        together.sort_unstable();
        let mut once: Vec<_> = nodes.iter().map(|node| format!("{node} 1")).collect();
        once.sort_unstable();
        assert_eq!(together, once);
        // The other gets nothing any more, and its nodes are this one's.
        tell(&a, 2);
        a.outlets.hear(&both[..1], now);
        let mut second: Vec<_> =
            a.written().into_iter().filter(|name| name.ends_with(" 2")).collect();
        second.sort_unstable();
        assert_eq!(second, nodes_sorted(&nodes, 2));
        tell(&a, 3);
        assert_eq!(a.written().iter().filter(|name| name.ends_with(" 3")).count(), 20);
    }

    fn nodes_sorted(nodes: &[String], number: u64) -> Vec<String> {
        let mut names: Vec<_> = nodes.iter().map(|node| format!("{node} {number}")).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn who_can_ask_nobody_acts_alone_after_a_while() {
        let now = Instant::now();
        let replica = Replica::new("a", now);
        let (node, item) = alert("n", 1);
        let _ = replica.outlets.put_out(&node, &item);
        replica.outlets.hear_nothing(now + LAPSE.checked_sub(Duration::from_secs(1)).unwrap());
        assert!(replica.written().is_empty());
        replica.outlets.hear_nothing(now + LAPSE);
        assert_eq!(replica.written(), ["n 1"]);
    }
}
