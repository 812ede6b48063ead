//! Agents, a relay and its clients, over real connections: what comes together, what a break costs, what a flood costs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod agent;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
    time::Duration,
};

use feed::{
    Feed, FeedOptions, Keep, Level, LogPath, Rotation, Services,
    client::Client,
    listen,
    metrics::{Families, Source},
    proto::feeder,
    serve,
};
use relay::{Discovery, Lines, Options, Relay, Security};
use telemetry::Node;
use tokio::{sync::watch, task::JoinHandle};
use tonic::Streaming;

use self::agent::{Agent, certificates};

/// A relay in this process, with its services.
struct Running {
    feed: Feed,
    address: String,
    metrics: Arc<dyn Source>,
    end: watch::Sender<bool>,
    relaying: JoinHandle<()>,
}

impl Running {
    async fn start(agents: Vec<relay::Agent>, security: Security) -> Self {
        Self::with(agents, security, FeedOptions::default()).await
    }

    async fn with(agents: Vec<relay::Agent>, security: Security, options: FeedOptions) -> Self {
        let node = Node { host: "relay".into(), ..Node::default() };
        let feed = Feed::new(FeedOptions { node, many_nodes: true, ..options });
        let discovery = Discovery::Listed(agents);
        let options = Options { discovery, security, lines: Lines::default(), replica: None };
        let relay = Relay::new(feed.clone(), options);
        let metrics = relay.metrics();
        let listener = listen(([127, 0, 0, 1], 0).into(), "gRPC").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(serve(listener, feed.clone(), Services::default(), std::future::pending()));
        let (end, ending) = watch::channel(false);
        let relaying = tokio::spawn(relay.run(ending));
        Self { feed, address, metrics, end, relaying }
    }

    async fn client(&self) -> Client {
        Client::connect(&self.address).await.unwrap()
    }

    /// What the relay says of itself.
    async fn samples(&self) -> BTreeMap<String, u64> {
        let mut families = Families::default();
        self.metrics.collect(&mut families).await;
        let text = families.into_text();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples
            .filter_map(|line| {
                let (name, value) = line.rsplit_once(' ')?;
                Some((name.to_owned(), value.parse().ok()?))
            })
            .collect()
    }

    /// Of a node's alerts: received, delivered, lost, missed.
    async fn alerts_of(&self, node: &str) -> [u64; 4] {
        let samples = self.samples().await;
        let of = |name: &str, more: &str| {
            let key = format!("kubearmor_relay_{name}{{node=\"{node}\",stream=\"alerts\"{more}}}");
            samples.get(&key).copied().unwrap_or_default()
        };
        [
            of("received_total", ""),
            of("handed_on_total", ",fate=\"delivered\""),
            of("handed_on_total", ",fate=\"lost\""),
            of("missed_total", ""),
        ]
    }

    /// Until all these agents have the relay as a listener of each stream.
    async fn listens_to(&self, agents: &[&Agent]) {
        for agent in agents {
            until(|| agent.feed.streams().iter().all(|stream| stream.listeners == 1)).await;
        }
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
async fn until(is_so: impl Fn() -> bool) {
    soon(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

async fn next(alerts: &mut Streaming<feeder::Alert>) -> feeder::Alert {
    soon(alerts.message()).await.unwrap().unwrap()
}

/// The message that has `text` in it, and those before it.
async fn told(messages: &mut Streaming<feeder::Message>, text: &str) -> feeder::Message {
    loop {
        let message = soon(messages.message()).await.unwrap().unwrap();
        if message.message.contains(text) {
            return message;
        }
    }
}

#[tokio::test]
async fn what_all_agents_tell_comes_once_and_as_it_was_told() {
    let agents = [Agent::start("n1").await, Agent::start("n2").await, Agent::start("n3").await];
    let listed = agents.iter().map(Agent::listed).collect();
    let relay = Running::start(listed, Security::Plain).await;
    relay.listens_to(&agents.iter().collect::<Vec<_>>()).await;
    let client = relay.client().await;
    client.check().await.unwrap();
    let (mut alerts, mut logs) =
        (client.alerts("policy").await.unwrap(), client.logs("all").await.unwrap());
    let mut messages = client.messages().await.unwrap();
    for number in 0..50 {
        for agent in &agents {
            agent.alert(number);
        }
    }
    let mut seen = BTreeMap::<String, Vec<u64>>::new();
    for _ in 0..150 {
        let alert = next(&mut alerts).await;
        assert_eq!(alert.cluster_name, "west");
        assert_eq!(alert.sequence, 0, "no number for who asks for none");
        seen.entry(alert.host_name).or_default().push(alert.policy_name.parse().unwrap());
    }
    let in_order: Vec<u64> = (0..50).collect();
    assert_eq!(seen.len(), 3);
    assert!(seen.values().all(|numbers| *numbers == in_order), "{seen:?}");
    let _ = agents[1].feed.publish_log(agents[1].log_of("c"));
    assert_eq!(soon(logs.message()).await.unwrap().unwrap().host_name, "n2");
    agents[2].feed.publish_message(Level::Warn, "a word");
    told(&mut messages, "a word").await;
    for agent in ["n1", "n2", "n3"] {
        assert_eq!(relay.alerts_of(agent).await, [50, 50, 0, 0], "{agent}");
    }
    // The relay's own streams have numbers of their own, and filters as an agent's.
    assert!(soon(client.alerts("system").await.unwrap().message()).await.unwrap().is_none());
    let (_, beginning) = client.alerts_behind("policy", None).await.unwrap();
    let (mut again, beginning) =
        client.alerts_behind("policy", beginning.position.as_ref()).await.unwrap();
    assert!(!beginning.restarted && beginning.missed == 0);
    agents[0].alert(50);
    assert_eq!(next(&mut again).await.sequence, 151);
    relay.stop().await;
}

#[tokio::test]
async fn a_break_costs_nothing_that_is_kept_and_the_rest_is_told() {
    let mut agent = Agent::start("n1").await;
    let relay = Running::start(vec![agent.listed()], Security::Plain).await;
    relay.listens_to(&[&agent]).await;
    let client = relay.client().await;
    let mut alerts = client.alerts("policy").await.unwrap();
    let mut messages = client.messages().await.unwrap();
    agent.alert(1);
    assert_eq!(next(&mut alerts).await.policy_name, "1");
    agent.go_away().await;
    told(&mut messages, "the agent of node n1").await;
    // Another run, which tells five before anybody is there, and keeps three.
    let keep = Keep { items: 3, bytes: usize::MAX };
    agent.feed = Feed::new(FeedOptions { keep, ..FeedOptions::default() });
    for number in 2..=6 {
        agent.alert(number);
    }
    agent.serve(None).await;
    let restarted = told(&mut messages, "was started anew").await;
    assert_eq!((restarted.host_name.as_str(), restarted.level.as_str()), ("relay", "WARN"));
    told(&mut messages, "2 alerts of node n1 were missed").await;
    for number in 4..=6_u64 {
        assert_eq!(next(&mut alerts).await.policy_name, number.to_string());
    }
    assert_eq!(relay.alerts_of("n1").await, [4, 4, 0, 2]);
    relay.stop().await;
}

#[tokio::test]
async fn what_an_agent_told_before_it_was_reached_is_had_and_what_it_gave_up_is_counted() {
    // Nobody listens at this address yet.
    let mut agent = Agent::with("n1", FeedOptions::default(), None).await;
    agent.go_away().await;
    let relay = Running::start(vec![agent.listed()], Security::Plain).await;
    let client = relay.client().await;
    let mut alerts = client.alerts("policy").await.unwrap();
    let samples = async || relay.samples().await;
    soon(async {
        while samples().await.get("kubearmor_relay_agent_breaks_total{node=\"n1\"}") < Some(&1) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    agent.feed = Feed::new(FeedOptions::default());
    for number in 1..=4 {
        agent.alert(number);
    }
    agent.serve(None).await;
    for number in 1..=4_u64 {
        assert_eq!(next(&mut alerts).await.policy_name, number.to_string());
    }
    assert_eq!(relay.alerts_of("n1").await, [4, 4, 0, 0]);
    relay.stop().await;
}

/// One node floods from many containers while the relay's client reads nothing. The other node, which tells little, loses
/// nothing, neither on its way to the relay nor there; and of each node everything is accounted for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_one_node_costs_no_other_an_alert() {
    const FLOOD: u64 = 30_000;
    const QUIET: u64 = 20;
    let (noisy, quiet) = (Agent::start("noisy").await, Agent::start("quiet").await);
    let listed = vec![noisy.listed(), quiet.listed()];
    let options = FeedOptions { queue: 1024, ..FeedOptions::default() };
    let relay = Running::with(listed, Security::Plain, options).await;
    relay.listens_to(&[&noisy, &quiet]).await;
    let client = relay.client().await;
    // Not read before all is over; what fits in the windows of the connection is a small part.
    let mut alerts = client.alerts("policy").await.unwrap();
    for number in 0..FLOOD {
        let container = format!("c{}", number % 300);
        let mut alert = noisy.alert_of(&container, number);
        alert.message = "x".repeat(512);
        let _ = noisy.feed.publish_alert(alert);
        if number % (FLOOD / QUIET) == 0 {
            // From a few containers: each has a share of the queue as well, of eight here.
            let container = format!("q{}", number / (FLOOD / QUIET) % 5);
            let _ = quiet.feed.publish_alert(quiet.alert_of(&container, number));
        }
        if number % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    // Whatever the noisy one could not hand over in time is missing in the numbers of what comes last.
    soon(async {
        loop {
            let [received, delivered, lost, missed] = relay.alerts_of("noisy").await;
            let [of_quiet, ..] = relay.alerts_of("quiet").await;
            if received == delivered + lost && received + missed >= FLOOD && of_quiet == QUIET {
                break;
            }
            if noisy.feed.waiting() == 0 {
                // Told once more, so that a gap at the end shows.
                noisy.alert(FLOOD);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let [received, delivered, lost, missed] = relay.alerts_of("noisy").await;
    assert_eq!(received, delivered + lost);
    assert!(lost > 0, "it was a flood: {received} {missed}");
    assert_eq!(relay.alerts_of("quiet").await, [QUIET, QUIET, 0, 0]);
    let mut of_quiet = BTreeSet::new();
    while of_quiet.len() < usize::try_from(QUIET).unwrap() {
        let alert = next(&mut alerts).await;
        if alert.host_name == "quiet" {
            of_quiet.insert(alert.policy_name);
        }
    }
    relay.stop().await;
}

#[tokio::test]
async fn with_tls_agents_prove_to_be_the_name_that_they_share() {
    let directory = tempfile::tempdir().unwrap();
    let served = certificates(directory.path());
    let agent = Agent::with("n1", FeedOptions::default(), Some(served)).await;
    let mutual = |directory: &tempfile::TempDir, name: &str| Security::Mutual {
        directory: directory.path().to_owned(),
        provider: feed::Provider::SelfMade,
        name: Some(name.to_owned()),
    };
    let relay = Running::start(vec![agent.listed()], mutual(&directory, "kubearmor")).await;
    relay.listens_to(&[&agent]).await;
    let mut alerts = relay.client().await.alerts("policy").await.unwrap();
    agent.alert(1);
    assert_eq!(next(&mut alerts).await.policy_name, "1");
    relay.stop().await;

    let relay = Running::start(vec![agent.listed()], mutual(&directory, "another")).await;
    let mut messages = relay.client().await.messages().await.unwrap();
    // Told at the first attempt, which may be over before anybody listened; so is a later one.
    let breaks = "kubearmor_relay_agent_breaks_total{node=\"n1\"}";
    soon(async {
        while relay.samples().await.get(breaks) < Some(&2) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(relay.alerts_of("n1").await, [0; 4]);
    relay.feed.publish_message(Level::Info, "the end");
    told(&mut messages, "the end").await;
    relay.stop().await;
}

#[tokio::test]
async fn events_are_written_as_clients_of_the_existing_relay_know_them() {
    let agent = Agent::start("n1").await;
    let relay = Running::start(vec![agent.listed()], Security::Plain).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events");
    let rotation = Rotation { bytes: 0, files: 0 };
    relay.feed.write_to(&LogPath::File(path.clone()), rotation).unwrap();
    relay.listens_to(&[&agent]).await;
    let mut alerts = relay.client().await.alerts("policy").await.unwrap();
    agent.alert(1);
    next(&mut alerts).await;
    relay.feed.flush();
    let line = std::fs::read_to_string(&path).unwrap();
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["HostName"], &event["PolicyName"]), (&"n1".into(), &"1".into()), "{line}");
    relay.stop().await;
}
