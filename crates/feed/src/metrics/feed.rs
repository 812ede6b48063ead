//! Who listens to the feed, and what they missed.

use sinks::{DropReason, SinkAccount};

use super::{Families, SinkCounts, Source};
use crate::Feed;

#[tonic::async_trait]
impl Source for Feed {
    async fn collect(&self, families: &mut Families) {
        for stream in self.streams() {
            let labels = [("stream", stream.name)];
            families
                .gauge("kubearmor_listeners", "Clients that watch a stream over gRPC")
                .sample(&labels, stream.listeners);
            families
                .gauge(
                    "kubearmor_listener_queue",
                    "Items on their way to clients, over all clients",
                )
                .sample(&labels, stream.waiting);
            families
                .counter(
                    "kubearmor_listener_missed_total",
                    "Items that clients were too slow for, each counted once for each client",
                )
                .sample(&labels, stream.missed);
        }
        for sink in self.files() {
            families.sink(&sink);
        }
        for account in self.sinks() {
            sink(families, &account);
        }
    }
}

fn sink(families: &mut Families, account: &SinkAccount) {
    families.sink(&SinkCounts {
        name: account.name.clone(),
        kind: account.kind,
        delivered: account.delivered,
        lost: account.dropped.total(),
        waiting: account.waiting,
    });
    let labels = [("sink", account.name.as_str()), ("kind", account.kind)];
    let [sink, kind] = labels;
    let dropped = families.counter("kubearmor_sink_dropped_total", "Why a sink has lost events");
    for reason in DropReason::ALL {
        dropped.sample(&[sink, kind, ("reason", reason.as_str())], account.dropped.of(reason));
    }
    for (name, help, count) in [
        (
            "kubearmor_sink_failures_total",
            "Attempts that a sink's peer did not answer with success",
            account.failures,
        ),
        (
            "kubearmor_sink_truncated_total",
            "Delivered events that had to be cut to a datagram's length",
            account.truncated,
        ),
    ] {
        families.counter(name, help).sample(&labels, count);
    }
    for (name, help, count) in [
        ("kubearmor_sink_spool", "Events on disk until a sink's peer takes them", account.spooled),
        (
            "kubearmor_sink_spool_bytes",
            "Bytes of the files that hold these events",
            account.spool_bytes,
        ),
    ] {
        families.gauge(name, help).sample(&labels, count);
    }
}

#[cfg(test)]
mod tests {
    use sinks::{SinkList, Sinks};

    use super::*;
    use crate::{FeedOptions, Level};

    /// Each event is in one place of the page.
    #[tokio::test]
    async fn a_sink_that_nobody_answers_has_its_account_on_the_page() {
        let directory = tempfile::tempdir().unwrap();
        let sinks = Sinks::new(directory.path().to_owned(), std::sync::Arc::new(|_| {}));
        let wanted: SinkList = serde_json::from_value(serde_json::json!([{
            "name": "history", "kind": "webhook", "endpoint": "http://127.0.0.1:1/",
            "events": ["messages"], "spool": {"maxBytes": 0}, "queue": {"maxEvents": 2},
        }]))
        .unwrap();
        sinks.apply(&wanted).await;
        let feed = Feed::new(FeedOptions::default());
        feed.send_to(sinks.clone());
        for _ in 0..20 {
            feed.publish_message(Level::Info, "x");
        }
        let mut families = Families::default();
        feed.collect(&mut families).await;
        let page = families.into_text();
        let sample = |name: &str, more: &str| {
            let start = format!("{name}{{sink=\"history\",kind=\"webhook\"{more}}} ");
            let line = page.lines().find_map(|line| line.strip_prefix(&start));
            line.unwrap_or_else(|| panic!("{start}: {page}")).parse::<u64>().unwrap()
        };
        let lost = sample("kubearmor_sink_events_total", ",fate=\"lost\"");
        assert!(lost > 0);
        assert_eq!(lost + sample("kubearmor_sink_queue", ""), 20);
        assert_eq!(lost, sample("kubearmor_sink_dropped_total", ",reason=\"queueFull\""));
        assert_eq!(sample("kubearmor_sink_spool", ""), 0);
    }
}
