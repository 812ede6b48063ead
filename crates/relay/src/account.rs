//! What came from each node and what became of it: `received = delivered + lost`, once all that came is handed on.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use feed::{Relayed, metrics::Families};
use telemetry::Delivery;

/// As metrics name the streams.
const STREAMS: [&str; 3] = ["alerts", "logs", "messages"];
/// The label of nodes that are gone, all together.
const GONE: &str = "";

/// The accounts of all nodes.
#[derive(Debug, Default)]
pub(crate) struct Accounts(Mutex<Nodes>);

#[derive(Debug, Default)]
struct Nodes {
    here: BTreeMap<String, Arc<NodeAccount>>,
    gone: [Counts; STREAMS.len()],
}

/// Of one node.
#[derive(Debug, Default)]
pub(crate) struct NodeAccount {
    streams: [Counted; STREAMS.len()],
    /// Connections that stand; a node has two agents for a moment, if at all.
    pub(crate) connections: AtomicU64,
    pub(crate) breaks: AtomicU64,
}

#[derive(Debug, Default)]
struct Counted {
    received: AtomicU64,
    delivered: AtomicU64,
    lost: AtomicU64,
    missed: AtomicU64,
}

/// One stream at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) received: u64,
    /// Had by everybody who should have it.
    pub(crate) delivered: u64,
    /// Missed by a client, the history, the log file or a sink.
    pub(crate) lost: u64,
    /// Never came here, as the agent says or as numbers show.
    pub(crate) missed: u64,
}

impl NodeAccount {
    pub(crate) fn came(&self, item: &Relayed) {
        self.of(place(item)).received.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn handed_on(&self, stream: usize, delivery: Delivery) {
        let counted = self.of(stream);
        let count = match delivery {
            Delivery::Complete => &counted.delivered,
            Delivery::Incomplete => &counted.lost,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn missed(&self, stream: usize, count: u64) {
        self.of(stream).missed.fetch_add(count, Ordering::Relaxed);
    }

    fn of(&self, stream: usize) -> &Counted {
        &self.streams[stream]
    }

    pub(crate) fn counts(&self, stream: usize) -> Counts {
        let counted = self.of(stream);
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        // What is handed on is read before what came, so that nothing is handed on that has not come.
        let (delivered, lost) = (read(&counted.delivered), read(&counted.lost));
        Counts { received: read(&counted.received), delivered, lost, missed: read(&counted.missed) }
    }
}

/// The place of an item's stream in an account.
pub(crate) fn place(item: &Relayed) -> usize {
    match item {
        Relayed::Alert(_) => 0,
        Relayed::Log(_) => 1,
        Relayed::Message(_) => 2,
    }
}

impl Accounts {
    pub(crate) fn of(&self, node: &str) -> Arc<NodeAccount> {
        Arc::clone(self.nodes().here.entry(node.to_owned()).or_default())
    }

    /// The node has no agent any more. Its counts stay in the sum of such nodes.
    pub(crate) fn close(&self, node: &str) {
        let mut nodes = self.nodes();
        let Some(account) = nodes.here.remove(node) else { return };
        for (stream, sum) in nodes.gone.iter_mut().enumerate() {
            let counts = account.counts(stream);
            sum.received += counts.received;
            sum.delivered += counts.delivered;
            sum.lost += counts.lost;
            sum.missed += counts.missed;
        }
    }

    pub(crate) fn collect(&self, families: &mut Families) {
        let nodes = self.nodes();
        for (node, account) in &nodes.here {
            families
                .gauge("kubearmor_relay_agent_connected", "Whether a node's agent is connected")
                .sample(&[("node", node)], account.connections.load(Ordering::Relaxed));
            families
                .counter(
                    "kubearmor_relay_agent_breaks_total",
                    "How often a connection to a node's agent broke or was not made",
                )
                .sample(&[("node", node)], account.breaks.load(Ordering::Relaxed));
            let counts = std::array::from_fn(|stream| account.counts(stream));
            streams(families, node, &counts);
        }
        if nodes.gone != <[Counts; STREAMS.len()]>::default() {
            streams(families, GONE, &nodes.gone);
        }
    }

    fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn streams(families: &mut Families, node: &str, counts: &[Counts; STREAMS.len()]) {
    for (stream, counts) in STREAMS.iter().zip(counts) {
        let [node, stream] = [("node", node), ("stream", *stream)];
        families
            .counter(
                "kubearmor_relay_received_total",
                "What came from a node's agent; without a node: of nodes that are gone",
            )
            .sample(&[node, stream], counts.received);
        let fates = families.counter(
            "kubearmor_relay_handed_on_total",
            "The same by whether everybody had room for it: clients, history, log file, sinks",
        );
        fates.sample(&[node, stream, ("fate", "delivered")], counts.delivered);
        fates.sample(&[node, stream, ("fate", "lost")], counts.lost);
        families
            .counter(
                "kubearmor_relay_missed_total",
                "What a node's agent told and never came here, as far as it is known",
            )
            .sample(&[node, stream], counts.missed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert() -> Relayed {
        Relayed::Alert(Box::default())
    }

    #[test]
    fn what_a_node_had_stays_when_it_is_gone() {
        let accounts = Accounts::default();
        for node in ["a", "b"] {
            let account = accounts.of(node);
            account.came(&alert());
            account.handed_on(0, Delivery::Complete);
            account.came(&alert());
            account.handed_on(0, Delivery::Incomplete);
            account.missed(0, 3);
        }
        accounts.close("a");
        accounts.close("b");
        accounts.close("b");
        let gone = Counts { received: 4, delivered: 2, lost: 2, missed: 6 };
        assert_eq!(accounts.nodes().gone, [gone, Counts::default(), Counts::default()]);
        assert_eq!(accounts.of("a").counts(0), Counts::default(), "another begins anew");
    }
}
