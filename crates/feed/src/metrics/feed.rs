//! Who listens to the feed, and what they missed.

use super::{Families, Source};
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
        for sink in self.sinks() {
            families.sink(&sink);
        }
    }
}
