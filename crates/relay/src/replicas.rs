//! Which replicas of the relay there are, and whose a node's events are: each replica finds the same answer by itself.
//!
//! Every replica has a Lease that it renews. Whether one lives is told by when its renewals were seen here, so clocks may
//! differ. A node belongs to the living replica with the highest weight for it (rendezvous hashing): when one goes, only its
//! own nodes move.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Between renewals.
pub(crate) const BEAT: Duration = Duration::from_secs(5);
/// Without a renewal for so long, a replica is taken for gone.
pub(crate) const LAPSE: Duration = Duration::from_secs(15);
/// After so long its Lease is removed.
const FORGET: Duration = Duration::from_mins(10);

/// A replica's Lease: its name, and the text of its last renewal.
pub(crate) type Renewal = (String, String);

#[derive(Debug)]
pub(crate) struct Replicas {
    own: String,
    /// The others that have a Lease.
    others: BTreeMap<String, Seen>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    renewal: String,
    /// When that renewal was seen first.
    at: Instant,
    alive: bool,
}

/// Nodes of a replica that is gone, and since when it may not have put their events out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) name: String,
    pub(crate) since: Instant,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Those that were alive the last time.
    pub(crate) gone: Vec<Gone>,
    /// Leases that nobody renews any more.
    pub(crate) stale: Vec<String>,
}

impl Replicas {
    pub(crate) fn new(own: String) -> Self {
        Self { own, others: BTreeMap::new() }
    }

    /// All Leases as they are now.
    pub(crate) fn hear(&mut self, leases: &[Renewal], now: Instant) -> Heard {
        let mut heard = Heard::default();
        let before = std::mem::take(&mut self.others);
        for (name, renewal) in leases.iter().filter(|(name, _)| *name != self.own) {
            let known = before.get(name).filter(|seen| seen.renewal == *renewal);
            let at = known.map_or(now, |seen| seen.at);
            let age = now.saturating_duration_since(at);
            if age >= FORGET {
                heard.stale.push(name.clone());
            }
            let seen = Seen { renewal: renewal.clone(), at, alive: age < LAPSE };
            self.others.insert(name.clone(), seen);
        }
        for (name, seen) in before.into_iter().filter(|(_, seen)| seen.alive) {
            if !self.is_alive(&name) {
                // It lived when it renewed, which was at most a beat before that was seen.
                let since = seen.at.checked_sub(BEAT).unwrap_or(seen.at);
                heard.gone.push(Gone { name, since });
            }
        }
        heard
    }

    fn is_alive(&self, name: &str) -> bool {
        self.others.get(name).is_some_and(|seen| seen.alive)
    }

    /// With this one.
    pub(crate) fn living(&self) -> impl Iterator<Item = &str> {
        let others = self.others.iter().filter(|(_, seen)| seen.alive);
        others.map(|(name, _)| name.as_str()).chain([self.own.as_str()])
    }

    /// Whether this replica is the one that puts out what the node tells.
    pub(crate) fn has(&self, node: &str) -> bool {
        owner(node, self.living()) == Some(&self.own)
    }

    /// The same, when `gone` was there as well.
    pub(crate) fn had_beside(&self, gone: &[Gone], node: &str) -> Option<Instant> {
        let all = self.living().chain(gone.iter().map(|gone| gone.name.as_str()));
        let before = owner(node, all)?;
        gone.iter().find(|gone| gone.name == before).map(|gone| gone.since)
    }
}

/// The replica that has the highest weight for the node.
fn owner<'r>(node: &str, replicas: impl Iterator<Item = &'r str>) -> Option<&'r str> {
    replicas.max_by_key(|replica| (weight(node, replica), *replica))
}

/// The same in every replica, of whatever build: FNV-1a, and the last steps of `SplitMix64`, without which names that
/// differ at their end alone would go together.
fn weight(node: &str, replica: &str) -> u64 {
    let bytes = node.bytes().chain([0]).chain(replica.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::btree_set, prelude::*};

    use super::*;

    fn leases(list: &[(&str, &str)]) -> Vec<Renewal> {
        list.iter().map(|&(name, at)| (name.to_owned(), at.to_owned())).collect()
    }

    #[test]
    fn who_does_not_renew_is_gone_since_before_its_last_renewal_was_seen() {
        let start = Instant::now() + FORGET;
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut replicas = Replicas::new("a".into());
        assert_eq!(replicas.hear(&leases(&[("a", "1"), ("b", "1")]), start), Heard::default());
        let living = |replicas: &Replicas| replicas.living().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(living(&replicas), ["b", "a"]);
        assert_eq!(replicas.hear(&leases(&[("b", "2")]), after(5)), Heard::default());
        assert_eq!(replicas.hear(&leases(&[("b", "2")]), after(19)), Heard::default());
        let gone = vec![Gone { name: "b".into(), since: start }];
        let heard = replicas.hear(&leases(&[("b", "2")]), after(20));
        assert_eq!(heard, Heard { gone, stale: vec![] });
        assert_eq!(living(&replicas), ["a"]);
        let heard = replicas.hear(&leases(&[("b", "2")]), after(5 + 600));
        assert_eq!(heard, Heard { gone: vec![], stale: vec!["b".into()] });
        assert_eq!(replicas.hear(&leases(&[("b", "3")]), after(606)), Heard::default());
        assert_eq!(living(&replicas), ["b", "a"], "it is back");
        let heard = replicas.hear(&leases(&[]), after(607));
        assert_eq!(heard.gone, [Gone { name: "b".into(), since: after(601) }], "it has left");
    }

    #[test]
    fn nodes_of_one_that_is_gone_are_known_by_who_had_them() {
        let mut replicas = Replicas::new("a".into());
        let now = Instant::now();
        replicas.hear(&leases(&[("b", "1")]), now);
        let nodes: Vec<String> = (0..100).map(|number| format!("node-{number}")).collect();
        let of_b: BTreeSet<&String> = nodes.iter().filter(|node| !replicas.has(node)).collect();
        assert!(of_b.len() > 20 && of_b.len() < 80, "{}", of_b.len());
        let Heard { gone, .. } = replicas.hear(&[], now);
        for node in &nodes {
            assert!(replicas.has(node));
            assert_eq!(replicas.had_beside(&gone, node).is_some(), of_b.contains(node));
        }
    }

    proptest! {
        #[test]
        fn each_node_has_one_owner_and_keeps_it_while_it_lives(
            replicas in btree_set("[a-z]{1,8}", 1..6),
            nodes in btree_set("[a-z0-9-]{1,12}", 0..40),
            goes in any::<prop::sample::Index>(),
        ) {
            let goes = replicas.iter().nth(goes.index(replicas.len())).unwrap().clone();
            let left: BTreeSet<_> = replicas.iter().filter(|one| **one != goes).collect();
            for node in &nodes {
                let before = owner(node, replicas.iter().map(String::as_str)).unwrap();
                let after = owner(node, left.iter().map(|one| one.as_str()));
                if before != goes {
                    prop_assert_eq!(after, Some(before));
                }
                // Each of them finds the same by itself.
                let count = replicas.iter().filter(|own| {
                    let mut view = Replicas::new((*own).clone());
                    let all: Vec<Renewal> =
                        replicas.iter().map(|name| (name.clone(), String::new())).collect();
                    view.hear(&all, Instant::now());
                    view.has(node)
                });
                prop_assert_eq!(count.count(), 1);
            }
        }
    }
}
