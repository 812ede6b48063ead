//! What is served: events in which every field that the agent can fill is filled. `check.py` knows them, too.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Result;
use feed::{
    Feed, FeedOptions, Level, PolicyAnswer, PolicyHandler, PolicyStatus, ProbeData, ProbeResponse,
    Services, metrics::Process,
};
use policy::Kind;
use telemetry::{Alert, ExecEvent, Log, Node, Owner};
use tokio::runtime::Runtime;

pub(crate) struct Served {
    feed: Feed,
    pub(crate) services: SocketAddr,
    pub(crate) metrics: SocketAddr,
    _runtime: Runtime,
}

/// Answers with what it was sent.
struct Echo;

#[feed::async_trait]
impl PolicyHandler for Echo {
    async fn apply(&self, bytes: Vec<u8>, kind: Kind) -> PolicyAnswer {
        let text = String::from_utf8_lossy(&bytes);
        PolicyAnswer { status: PolicyStatus::Modified, message: format!("{kind}: {text}") }
    }
}

#[feed::async_trait]
impl ProbeData for Echo {
    async fn probe(&self) -> ProbeResponse {
        ProbeResponse { container_list: vec!["teller".into()], ..ProbeResponse::default() }
    }
}

impl Served {
    pub(crate) fn start() -> Result<Self> {
        let runtime = Runtime::new()?;
        let node = Node { cluster: "cluster".into(), host: "host".into(), id: "node".into() };
        let options = FeedOptions { node, host_ip: "192.0.2.1".into(), ..FeedOptions::default() };
        let feed = Feed::new(options);
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let listener = runtime.block_on(feed::listen(any, "gRPC"))?;
        let page = runtime.block_on(feed::listen(any, "metricsPort"))?;
        let (services, metrics) = (listener.local_addr()?, page.local_addr()?);
        let offered = Services {
            policies: Some(Arc::new(Echo)),
            probe: Some(Arc::new(Echo)),
            policies_from_anyone: true,
        };
        runtime.spawn(feed::serve(listener, feed.clone(), offered, std::future::pending()));
        let sources: Vec<Arc<dyn feed::metrics::Source>> =
            vec![Arc::new(feed.clone()), Arc::new(Process)];
        runtime.spawn(feed::metrics::serve(page, sources, std::future::pending()));
        Ok(Self { feed, services, metrics, _runtime: runtime })
    }

    /// One of each stream.
    pub(crate) fn publish(&self) {
        let _ = self.feed.publish_alert(alert());
        let _ = self.feed.publish_log(event());
        self.feed.publish_message(Level::Warn, "take care");
    }
}

fn event() -> Log {
    Log {
        timestamp: 1_700_000_000,
        updated_time: "2023-11-14T22:13:20.000001Z".into(),
        cluster_name: "cluster".into(),
        host_name: "host".into(),
        node_id: "node".into(),
        user_name: "root".into(),
        namespace_name: "bank".into(),
        owner: Some(Owner {
            kind: "Deployment".into(),
            name: "tellers".into(),
            namespace: "bank".into(),
        }),
        pod_name: "teller-0".into(),
        labels: "app=teller,tier=front".into(),
        container_id: "c0ffee".into(),
        container_name: "teller".into(),
        container_image: "docker.io/library/debian:12".into(),
        host_ppid: 101,
        host_pid: 102,
        ppid: 3,
        pid: 4,
        uid: 1000,
        exec_event: Some(ExecEvent { id: "12345678901".into(), executable_name: "cat".into() }),
        parent_process_name: "/usr/bin/dash".into(),
        process_name: "/usr/bin/cat".into(),
        kind: "MatchedPolicy".into(),
        source: "/usr/bin/cat /srv/ledger".into(),
        operation: "File".into(),
        resource: "/srv/ledger \u{e4}\u{4e2d}".into(),
        cwd: "/srv/".into(),
        tty: "pts0".into(),
        data: "lsm=FILE_OPEN".into(),
        event_data: [("Lsm", "FILE_OPEN"), ("Flags", "O_RDONLY")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        result: "Permission denied".into(),
        ancestors: vec!["/usr/bin/dash".into(), "/usr/sbin/init".into()],
    }
}

fn alert() -> Alert {
    Alert {
        event: event(),
        enforcer: "BPFLSM".into(),
        policy_name: "ledger".into(),
        policy_kind: "KubeArmorPolicy".into(),
        policy_namespace: "bank".into(),
        rule_path: "spec.file.matchPaths[0]".into(),
        suppressed_alerts: 12,
        version: "v1".into(),
        severity: "7".into(),
        tags: "PCI,MITRE".into(),
        tag_list: vec!["PCI".into(), "MITRE".into()],
        message: "hands off".into(),
        action: "Block".into(),
        max_alerts_per_sec: 10,
        dropping_alerts_interval: 30,
    }
}
