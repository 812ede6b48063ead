//! A relay in a cluster: pods that come and go, and replicas that put each event out once between them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod api_server;

use std::{collections::BTreeSet, future::Future, net::SocketAddr, time::Duration};

use feed::{
    Feed, FeedOptions, LogPath, Rotation, Services, listen,
    metrics::{Families, Source},
    serve,
};
use relay::{Agent, Discovery, Lines, Options, Pods, Relay, Replica, Security};
use telemetry::{Alert, Log};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};

use self::api_server::{ApiServer, pod};

/// An agent's feed, and where it is served.
async fn agent(address: SocketAddr) -> (Feed, SocketAddr) {
    let listener = listen(address, "gRPC").await.unwrap();
    let address = listener.local_addr().unwrap();
    let feed = Feed::new(FeedOptions::default());
    tokio::spawn(serve(listener, feed.clone(), Services::default(), std::future::pending()));
    (feed, address)
}

fn alert(feed: &Feed, name: &str) {
    let event = Log { host_name: name.into(), ..Log::default() };
    let _ = feed.publish_alert(Alert { policy_name: name.into(), event, ..Alert::default() });
}

/// A relay that writes what it puts out into a file.
struct Running {
    feed: Feed,
    directory: TempDir,
    metrics: std::sync::Arc<dyn Source>,
    end: watch::Sender<bool>,
    relaying: JoinHandle<()>,
}

impl Running {
    fn start(discovery: Discovery, replica: Option<Replica>) -> Self {
        let feed = Feed::new(FeedOptions { many_nodes: true, ..FeedOptions::default() });
        let directory = tempfile::tempdir().unwrap();
        let path = LogPath::File(directory.path().join("lines"));
        feed.write_to(&path, Rotation { bytes: 0, files: 0 }).unwrap();
        let lines = Lines::default();
        let options = Options { discovery, security: Security::Plain, lines, replica };
        let relay = Relay::new(feed.clone(), options);
        let metrics = relay.metrics();
        let (end, ending) = watch::channel(false);
        let relaying = tokio::spawn(relay.run(ending));
        Self { feed, directory, metrics, end, relaying }
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

    async fn page(&self) -> String {
        let mut families = Families::default();
        self.metrics.collect(&mut families).await;
        families.into_text()
    }

    async fn stop(self) {
        self.end.send(true).unwrap();
        soon(self.relaying).await.unwrap();
    }
}

/// Nothing here takes long; what hangs is a failure.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), future).await.expect("it hangs")
}

/// Looks again whenever others had a turn.
async fn until(is_so: impl AsyncFn() -> bool) {
    soon(async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn agents_are_followed_as_their_pods_come_and_go() {
    let (first, address) = agent(([127, 0, 0, 1], 0).into()).await;
    let port = address.port();
    let (second, _) = agent(([127, 0, 0, 2], port).into()).await;
    let pods = [pod("1", "n1", "127.0.0.1"), pod("2", "n2", "127.0.0.2")];
    let api = ApiServer::start(vec![pods[0].clone()]).await;
    let namespace = Some("kubearmor".to_owned());
    let discovery = Discovery::Pods(Pods { client: api.client.clone(), namespace, port });
    let relay = Running::start(discovery, None);
    until(async || first.is_heard() && api.watches() > 0).await;
    alert(&first, "of the first");
    // Its agent has told before anybody knew of it.
    alert(&second, "of the second");
    api.tell("ADDED", &pods[1]);
    until(async || relay.written().len() == 2).await;
    let written: BTreeSet<String> = relay.written().into_iter().collect();
    assert_eq!(written, ["of the first", "of the second"].map(str::to_owned).into());
    let page = relay.page().await;
    assert!(page.contains("kubearmor_relay_agent_connected{node=\"n2\"} 1"), "{page}");
    api.tell("DELETED", &pods[0]);
    until(async || !first.is_heard()).await;
    let gone = "kubearmor_relay_received_total{node=\"\",stream=\"alerts\"} 1";
    until(async || relay.page().await.contains(gone)).await;
    let page = relay.page().await;
    assert!(!page.contains("node=\"n1\"") && page.contains("node=\"n2\""), "{page}");
    relay.stop().await;
    assert!(api.deleted().is_empty(), "no replica, no Lease");
}

#[tokio::test]
async fn replicas_put_each_event_out_once_between_them() {
    let api = ApiServer::start(vec![]).await;
    // Each sees the other at its first look.
    api.renewed(&["a", "b"]);
    let mut agents = Vec::new();
    for _ in 0..12 {
        agents.push(agent(([127, 0, 0, 1], 0).into()).await);
    }
    let listed = |agents: &[(Feed, SocketAddr)]| {
        let of = |(_, address): &(Feed, SocketAddr)| Agent {
            node: address.to_string(),
            address: address.to_string(),
        };
        Discovery::Listed(agents.iter().map(of).collect())
    };
    let replica = |name: &str| {
        let namespace = "kubearmor".to_owned();
        Some(Replica { client: api.client.clone(), namespace, name: name.to_owned() })
    };
    let both = ["a", "b"].map(|name| Running::start(listed(&agents), replica(name)));
    until(async || agents.iter().all(|(feed, _)| feed.streams()[0].listeners == 2)).await;
    for (feed, address) in &agents {
        alert(feed, &address.to_string());
    }
    let written = || both.iter().map(Running::written).collect::<Vec<_>>();
    until(async || written().concat().len() >= agents.len()).await;
    let [a, b] = written().try_into().unwrap();
    let mut together = [a, b].concat();
    together.sort_unstable();
    let mut expected: Vec<_> = agents.iter().map(|(_, address)| address.to_string()).collect();
    expected.sort_unstable();
    assert_eq!(together, expected);
    let page = both[0].page().await;
    assert!(page.contains("kubearmor_relay_replicas 2"), "{page}");
    let leases = api.leases();
    assert!(
        leases.iter().all(|(_, renewed)| !renewed.starts_with("2026-12-01T00:00:00.0000")),
        "{leases:?}"
    );
    let [a, b] = both;
    a.stop().await;
    assert_eq!(api.deleted(), ["kubearmor-relay-a"]);
    b.stop().await;
    assert!(api.leases().is_empty());
}
