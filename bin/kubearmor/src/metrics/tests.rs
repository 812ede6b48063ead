//! A page as Prometheus would get it, read strictly and held to the accounts.

mod reader;

use std::path::Path;

use feed::{Feed, FeedOptions, metrics::Process};
use policy::{Kind, Policy};
use telemetry::{Limit, Node, Occurrence, Settings, Subject};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use wire::{Operation, RULE_POSTURE, Record, RecordKind};

use self::reader::Page;
use super::*;
use crate::{
    backend::NoEnforcer,
    config::Config,
    filesystem::RootFilesystems,
    identities::Identities,
    index::{self, Index, Keeper},
    reload::policy_settings,
    store::Store,
};

fn policy() -> Policy {
    let text = "{apiVersion: security.kubearmor.com/v1, kind: KubeArmorPolicy, metadata: {name: p}, \
                spec: {selector: {matchLabels: {a: b}}, file: {matchPaths: [{path: /x}]}, action: Block}}";
    policy::parse(text, "p.yaml").policies.remove(0)
}

/// An agent without a kernel, in `directory`.
fn agent(directory: &Path) -> Agent {
    let config = Config { enable_kube_armor_host_policy: true, ..Config::default() };
    let mut index = Index::new(
        Box::new(NoEnforcer { reason: "a test".into() }),
        Box::new(RootFilesystems),
        Store::open(directory).unwrap(),
        policy_settings(&config),
        workload::host("node"),
        Arc::new(Identities::default()),
    );
    index.apply(policy(), "", Keeper::Directory("p.yaml".into())).unwrap();
    let limit = Limit { on: true, per_second: 3, silence_seconds: 60 };
    Agent {
        index: index::start(index).unwrap(),
        accounts: Arc::new(Accounts::new(Node::default(), "BPFLSM", Settings { limit }, None)),
        answers: Arc::new(Answers::default()),
        capabilities: sensor::probe(),
        loaded: Loaded {
            hooks: vec!["file_open".into()],
            missing: vec![("dns".into(), "no".into())],
        },
    }
}

fn record(kind: RecordKind, operation: Operation, result: i32, time: u64) -> Record {
    Record {
        kind,
        operation,
        flags: 0,
        time,
        exec: 0,
        parent_exec: 0,
        slot: 0,
        generation: 0,
        image: 0,
        rule: RULE_POSTURE,
        result,
        host_pid: 0,
        host_ppid: 0,
        pid: 1,
        ppid: 1,
        uid: 0,
        owner: 0,
        detail: [0; 4],
        address: [0; 16],
        comm: String::new(),
        tty: String::new(),
        syscall: None,
        descriptor: -1,
        repeats: 0,
        path: b"/etc/passwd".into(),
        cwd: Vec::new(),
        args: Vec::new(),
    }
}

/// Alerts, denials and logs of the host and of a container, throttled ones and lost ones.
fn happen(accounts: &Accounts, feed: &Feed) {
    let mut sink = feed.clone();
    let container = telemetry::ContainerIdentity {
        id: "c0".into(),
        name: "teller \"1\"\n".into(),
        namespace: "bank".into(),
        ..telemetry::ContainerIdentity::default()
    };
    let (host, inside): (Arc<str>, Arc<str>) = ("host".into(), "c0".into());
    accounts.reporter(|reporter| {
        for number in 0..12_u64 {
            let kind = if number % 4 == 3 { RecordKind::Log } else { RecordKind::Alert };
            let result = if number % 2 == 0 { -13 } else { 0 };
            let operation = if number % 3 == 0 { Operation::Exec } else { Operation::Open };
            let record = record(kind, operation, result, number);
            for (workload, subject) in
                [(&host, Subject::Host), (&inside, Subject::Container(&container))]
            {
                let occurrence = Occurrence { workload, record: &record, rules: None };
                reporter.report(occurrence, subject, &mut sink);
            }
        }
        reporter.lost(&inside, 5);
        reporter.lost_logs(&host, 7);
        let _ = reporter.forget("c0");
    });
}

async fn get(port: u16, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// The page, and the accounts that it was made from.
async fn scrape() -> (Page, Vec<telemetry::Account>) {
    let directory = tempfile::tempdir().unwrap();
    let feed = Feed::new(FeedOptions::default());
    let agent = agent(directory.path());
    agent.answers.note(Kind::Host, feed::PolicyStatus::Invalid);
    let log = directory.path().join("events.json");
    let rotation = feed::Rotation { bytes: 0, files: 0 };
    feed.write_to(&log.to_str().unwrap().parse().unwrap(), rotation).unwrap();
    let sinks = sinks::Sinks::new(directory.path().join("spool"), Arc::new(|_| {}));
    let wanted =
        serde_json::json!([{"name": "hook", "kind": "webhook", "endpoint": "http://127.0.0.1:1/"}]);
    sinks.apply(&serde_json::from_value(wanted).unwrap()).await;
    feed.send_to(sinks);
    happen(&agent.accounts, &feed);
    let accounts = agent.accounts.lines();
    let listener = feed::listen(([127, 0, 0, 1], 0).into(), "metricsPort").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sources: Vec<Arc<dyn Source>> =
        vec![Arc::new(agent), Arc::new(feed.clone()), Arc::new(Process)];
    let serving = tokio::spawn(feed::metrics::serve(listener, sources, std::future::pending()));
    let (head, body) = get(port, "/metrics").await;
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(get(port, "/").await.0.starts_with("HTTP/1.1 404"));
    serving.abort();
    (Page::read(&body), accounts)
}

#[tokio::test]
async fn sums_of_the_page_are_those_of_the_accounts() {
    let (page, accounts) = scrape().await;
    let sum = |of: fn(&telemetry::Account) -> u64| accounts.iter().map(of).sum::<u64>();
    let fate = |fate| {
        let labels = [("fate", fate)];
        page.sum("kubearmor_alerts_total", &labels) + page.sum("kubearmor_logs_total", &labels)
    };
    assert_eq!(fate("delivered"), sum(|account| account.counts.delivered));
    assert_eq!(fate("throttled"), sum(|account| account.counts.throttled));
    assert_eq!(fate("lost"), sum(|account| account.counts.lost));
    assert!(fate("throttled") > 0 && fate("lost") > 0, "the test has something of everything");
    let blocked = |account: &&telemetry::Account| account.key.action == "Block";
    let denied: u64 = accounts.iter().filter(blocked).map(|account| account.counts.generated).sum();
    assert_eq!(page.sum("kubearmor_denials_total", &[]), denied);
    assert!(
        page.sum("kubearmor_denials_total", &[("namespace", "bank"), ("operation", "File")]) > 0
    );
    assert_eq!(
        page.sum("kubearmor_sink_events_total", &[("sink", "logPath"), ("fate", "lost")]),
        0
    );
}

#[tokio::test]
async fn dashboards_find_the_names_that_they_know() {
    let (page, accounts) = scrape().await;
    // Those that announce a silence are no policy's, but alerts to whoever watches.
    let announced = page.sum("kubearmor_alerts_with_type_total", &[("Type", "SystemEvent")]);
    assert!(announced > 0);
    let of_policies = |account: &&telemetry::Account| !matches!(account.key.action, "Log" | "");
    let published: u64 =
        accounts.iter().filter(of_policies).map(|a| a.counts.delivered + a.counts.lost).sum();
    for name in ["kubearmor_alerts_in_host_total", "kubearmor_relay_logs_in_pod_total"] {
        assert_eq!(page.sum(name, &[]), published + announced, "{name}");
    }
    let container = [("ContainerName", "teller \"1\"\n")];
    assert!(page.sum("kubearmor_alerts_in_container_total", &container) > 0);
}

#[tokio::test]
async fn the_node_is_described() {
    let (page, _) = scrape().await;
    let one = |name: &str, labels: &[(&str, &str)]| {
        assert_eq!(page.sum(name, labels), 1, "{name} {labels:?}");
    };
    one("kubearmor_policies", &[("kind", "KubeArmorPolicy"), ("state", "NotEnforced")]);
    one("kubearmor_workloads", &[("place", "host"), ("state", "unrestricted")]);
    one("kubearmor_enforcer_info", &[("enforcer", "NONE")]);
    one("kubearmor_kernel_programs_missing", &[("group", "dns")]);
    one(
        "kubearmor_policy_answers_total",
        &[("kind", "KubeArmorHostPolicy"), ("answer", "Invalid")],
    );
    assert!(page.has("kubearmor_repairs_total", &[("kind", "pin")]));
    assert!(page.sum("process_open_fds", &[]) > 0);
    assert!(page.has("kubearmor_kernel_feature", &[("feature", "BPF security module")]));
}

/// Every metric that the dashboard asks for is there, and its file is what Grafana imports.
#[tokio::test]
async fn the_dashboard_asks_for_what_there_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/grafana/kubearmor.json");
    let text = std::fs::read_to_string(path).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (page, _) = scrape().await;
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        let targets = panel["targets"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(panel["type"] == "row" || !targets.is_empty(), "{}", panel["title"]);
        for target in targets {
            for name in reader::names(target["expr"].as_str().unwrap()) {
                // What needs a kernel with the programs in it.
                let kernel = name.starts_with("kubearmor_ring_");
                assert!(kernel || page.has_name(&name), "{}: {name}", panel["title"]);
                asked += 1;
            }
        }
    }
    assert!(asked > 20, "{asked}");
}
