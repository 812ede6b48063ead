//! What another replica has to put out, held until it is sure that it has.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use feed::Relayed;

use crate::replicas::{BEAT, LAPSE};

/// Longer than it takes to notice that a replica is gone.
const LONGEST: Duration = Duration::from_secs(LAPSE.as_secs() + 3 * BEAT.as_secs());
const BYTES: usize = 16 << 20;

#[derive(Debug, Default)]
pub(crate) struct Held {
    /// The oldest first.
    items: VecDeque<Entry>,
    bytes: usize,
    /// Given up before their time, for want of room.
    pub(crate) given_up: u64,
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    node: Arc<str>,
    item: Relayed,
    size: usize,
}

impl Held {
    pub(crate) fn hold(&mut self, node: &Arc<str>, item: Relayed, now: Instant) {
        let size = item.size();
        self.bytes += size;
        self.items.push_back(Entry { at: now, node: Arc::clone(node), item, size });
        while let Some(oldest) = self.items.front() {
            let over = now.saturating_duration_since(oldest.at) > LONGEST;
            if !over && self.bytes <= BYTES {
                break;
            }
            self.given_up += u64::from(!over);
            self.bytes -= oldest.size;
            self.items.pop_front();
        }
    }

    /// Takes what came from nodes at or behind the moment that `since` gives for them, in the order in which it came.
    pub(crate) fn take(
        &mut self,
        since: impl Fn(&str) -> Option<Instant>,
    ) -> Vec<(Arc<str>, Relayed)> {
        let (mut taken, mut left) = (Vec::new(), VecDeque::new());
        for item in self.items.drain(..) {
            if since(&item.node).is_some_and(|since| item.at >= since) {
                self.bytes -= item.size;
                taken.push((item.node, item.item));
            } else {
                left.push_back(item);
            }
        }
        self.items = left;
        taken
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }
}

#[cfg(test)]
mod tests {
    use feed::proto::feeder::Alert;

    use super::*;

    fn alert(name: &str) -> Relayed {
        Relayed::Alert(Box::new(Alert { policy_name: name.into(), ..Alert::default() }))
    }

    #[test]
    fn what_came_behind_a_moment_is_taken_once() {
        let (mut held, start) = (Held::default(), Instant::now());
        let nodes: [Arc<str>; 2] = ["a".into(), "b".into()];
        for second in 0..4 {
            for node in &nodes {
                held.hold(
                    node,
                    alert(&format!("{node}{second}")),
                    start + Duration::from_secs(second),
                );
            }
        }
        let since = |node: &str| (node == "a").then_some(start + Duration::from_secs(2));
        let taken: Vec<_> = held.take(since).into_iter().map(|(_, item)| item).collect();
        assert_eq!(taken, [alert("a2"), alert("a3")]);
        assert!(held.take(since).is_empty());
        assert_eq!((held.len(), held.given_up), (6, 0));
        held.hold(&nodes[0], alert("late"), start + Duration::from_hours(1));
        assert_eq!((held.len(), held.given_up), (1, 0), "its time is over");
    }

    #[test]
    fn room_is_bounded_and_what_is_given_up_counted() {
        let (mut held, now, node) = (Held::default(), Instant::now(), Arc::from("a"));
        for _ in 0..20 {
            held.hold(&node, alert(&"x".repeat(1 << 20)), now);
        }
        assert_eq!((held.len(), held.given_up), (15, 5));
        assert!(held.bytes <= BYTES);
    }
}
