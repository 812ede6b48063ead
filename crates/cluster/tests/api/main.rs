//! The agent's half against an API server that goes away, forgets, refuses and comes back.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod server;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use cluster::{
    Change, Client, Node, Place, Report, Told, View,
    summary::{NodeSummary, PolicyState, PolicySummary},
    watch,
};
use policy::Kind;
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use self::server::{Gone, Server};

/// Far beyond what any step takes, back-off included.
const PATIENCE: Duration = Duration::from_mins(1);
const POLICIES: &str = "/apis/security.kubearmor.com/v1/kubearmorpolicies";
const CLUSTER_POLICIES: &str = "/apis/security.kubearmor.com/v1/kubearmorclusterpolicies";
const NODES: &str = "/apis/security.kubearmor.com/v1/kubearmornodes";
const NAMESPACES: &str = "/api/v1/namespaces";
const PODS: &str = "/api/v1/pods";
const MAPS: &str = "/api/v1/namespaces/kubearmor/configmaps";
const JOBS: &str = "/apis/batch/v1/namespaces/shop/jobs";

struct Watching {
    changes: mpsc::Receiver<Change>,
    said: mpsc::UnboundedReceiver<String>,
    task: JoinHandle<()>,
}

impl Watching {
    fn start(server: &Server) -> Self {
        let (sender, changes) = mpsc::channel(64);
        let (say, said) = mpsc::unbounded_channel();
        let place = Place { node: "n1".into(), namespace: "kubearmor".into() };
        let say = move |text| drop(say.send(text));
        let task = tokio::spawn(watch(server.client(), place, sender, say));
        Self { changes, said, task }
    }

    /// The next change that `wanted` makes something of; others are passed over.
    async fn next<T>(&mut self, mut wanted: impl FnMut(Change) -> Option<T>) -> T {
        let found = async {
            loop {
                let change = self.changes.recv().await.expect("the watching has ended");
                if let Some(found) = wanted(change) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("no such change came")
    }

    async fn next_policies(&mut self) -> Told<String> {
        self.next(|change| match change {
            Change::Policies(Kind::Container, told) => Some(names(told, |of| of.id.name)),
            _ => None,
        })
        .await
    }

    async fn said(&mut self, part: &str) -> String {
        let found = async {
            loop {
                let text = self.said.recv().await.expect("the watching has ended");
                if text.contains(part) {
                    return text;
                }
            }
        };
        timeout(PATIENCE, found).await.expect(part)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn names<T>(told: Told<T>, name: impl Fn(T) -> String) -> Told<String> {
    match told {
        Told::All(all) => Told::All(all.into_iter().map(name).collect()),
        Told::One(one) => Told::One(name(one)),
        Told::Gone(gone) => Told::Gone(name(gone)),
    }
}

fn all(names: &[&str]) -> Told<String> {
    Told::All(names.iter().map(|&name| name.to_owned()).collect())
}

fn one(name: &str) -> Told<String> {
    Told::One(name.to_owned())
}

fn policy(name: &str) -> Value {
    json!({
        "apiVersion": "security.kubearmor.com/v1", "kind": "KubeArmorPolicy",
        "metadata": {"namespace": "shop", "name": name, "generation": 1},
        "spec": {"selector": {}, "process": {"matchPaths": [{"path": "/bin/sh"}]}, "action": "Block"},
    })
}

fn pod(name: &str, node: &str, owner: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "shop", "name": name, "uid": name, "ownerReferences": owner},
        "spec": {"nodeName": node, "containers": [{"name": "main"}]},
    })
}

#[tokio::test]
async fn what_is_there_is_told_whole_and_what_changes_in_order() {
    let server = Server::start().await;
    server.put(POLICIES, policy("a"));
    let mut watching = Watching::start(&server);
    assert_eq!(watching.next_policies().await, all(&["a"]));
    server.put(POLICIES, policy("b"));
    server.put(POLICIES, policy("a"));
    server.remove(POLICIES, "shop", "b");
    assert_eq!(watching.next_policies().await, one("b"));
    assert_eq!(watching.next_policies().await, one("a"));
    assert_eq!(watching.next_policies().await, Told::Gone("b".into()));
}

#[tokio::test]
async fn a_restart_of_the_server_loses_nothing_and_tells_nothing_twice() {
    let mut server = Server::start().await;
    server.put(POLICIES, policy("a"));
    let mut watching = Watching::start(&server);
    assert_eq!(watching.next_policies().await, all(&["a"]));
    server.cut().await;
    watching.said("away").await;
    server.put(POLICIES, policy("b"));
    server.come_back().await;
    assert_eq!(watching.next_policies().await, one("b"));
}

/// Hours later the server has forgotten what the agent knew, and tells so in one of two ways.
async fn after_hours(gone: Gone) {
    let mut server = Server::start().await;
    server.put(POLICIES, policy("a"));
    server.put(POLICIES, policy("b"));
    let mut watching = Watching::start(&server);
    assert_eq!(watching.next_policies().await, all(&["a", "b"]));
    server.cut().await;
    server.remove(POLICIES, "shop", "a");
    server.put(POLICIES, policy("c"));
    server.forget(gone);
    server.come_back().await;
    assert_eq!(watching.next_policies().await, all(&["b", "c"]));
    server.put(POLICIES, policy("d"));
    assert_eq!(watching.next_policies().await, one("d"));
}

#[tokio::test]
async fn after_hours_of_absence_all_is_listed_anew() {
    after_hours(Gone::AsEvent).await;
}

#[tokio::test]
async fn a_server_that_refuses_to_begin_where_the_agent_was_is_listed_anew() {
    after_hours(Gone::AsStatus).await;
}

#[tokio::test]
async fn a_list_that_breaks_off_is_no_list() {
    let server = Server::start().await;
    for number in 0..150 {
        server.put(POLICIES, policy(&format!("p{number:03}")));
    }
    server.break_pages(2);
    let mut watching = Watching::start(&server);
    let Told::All(told) = watching.next_policies().await else { panic!("no list") };
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), 150);
    assert!(server.asked(POLICIES).iter().filter(|asked| asked.contains("continue=")).count() >= 3);
}

#[tokio::test]
async fn what_is_refused_is_said_once_and_the_rest_goes_on() {
    let server = Server::start().await;
    server.refuse(CLUSTER_POLICIES, 403);
    server.put(POLICIES, policy("a"));
    let mut watching = Watching::start(&server);
    assert_eq!(watching.next_policies().await, all(&["a"]));
    let text = watching.said("KubeArmorClusterPolicy").await;
    assert!(text.contains("agent-rbac.yaml"), "{text}");
    // Asked again and again, it is refused again and again.
    timeout(PATIENCE, server.was_asked(CLUSTER_POLICIES, 3)).await.unwrap();
    assert_eq!(watching.said.try_recv().ok(), None);
    server.refuse(CLUSTER_POLICIES, 0);
    let listed = watching.next(|change| match change {
        Change::Policies(Kind::Cluster, told) => Some(told),
        _ => None,
    });
    assert_eq!(listed.await, Told::All(Vec::new()));
}

#[tokio::test]
async fn pods_of_other_nodes_are_never_sent() {
    let server = Server::start().await;
    server.put(PODS, pod("here", "n1", &json!([])));
    server.put(PODS, pod("there", "n2", &json!([])));
    let mut watching = Watching::start(&server);
    let pods = |change| match change {
        Change::Pods(told) => Some(names(told, |pod| pod.name)),
        _ => None,
    };
    assert_eq!(watching.next(pods).await, all(&["here"]));
    server.put(PODS, pod("also-there", "n2", &json!([])));
    server.put(PODS, pod("also-here", "n1", &json!([])));
    assert_eq!(watching.next(pods).await, one("also-here"));
}

#[tokio::test]
async fn a_cron_job_is_found_behind_its_job() {
    let server = Server::start().await;
    let by = |kind: &str, name: &str| json!([{"apiVersion": "batch/v1", "kind": kind, "name": name, "uid": "u", "controller": true}]);
    let job = |name: &str, owners: &Value| {
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"namespace": "shop", "name": name, "ownerReferences": owners},
        })
    };
    server.put(JOBS, job("backup-29112230", &by("CronJob", "backup")));
    server.put(JOBS, job("report-20260101", &json!([])));
    for (name, owner) in [("a", "backup-29112230"), ("b", "report-20260101"), ("c", "once")] {
        server.put(PODS, pod(name, "n1", &by("Job", owner)));
    }
    let mut watching = Watching::start(&server);
    let owners = watching.next(|change| match change {
        Change::Pods(Told::All(pods)) => {
            let owner = |pod: cluster::Pod| format!("{} {}", pod.owner.kind, pod.owner.name);
            Some(pods.into_iter().map(owner).collect::<Vec<_>>())
        }
        _ => None,
    });
    assert_eq!(owners.await, ["CronJob backup", "Job report-20260101", "Job once"]);
    assert!(server.asked(JOBS).iter().all(|asked| !asked.contains("once")));
}

#[tokio::test]
async fn a_key_that_is_taken_out_of_the_configuration_keeps_its_value() {
    let server = Server::start().await;
    let map = |name: &str, keys: &Value| json!({"metadata": {"namespace": "kubearmor", "name": name}, "data": keys});
    server.put(MAPS, map("other", &json!({"cluster": "wrong"})));
    server.put(
        MAPS,
        map("kubearmor-config", &json!({"cluster": "prod", "defaultFilePosture": "block"})),
    );
    let mut watching = Watching::start(&server);
    let keys = |change| match change {
        Change::Configuration(keys) => Some(
            keys.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" "),
        ),
        _ => None,
    };
    assert_eq!(watching.next(keys).await, "cluster=prod defaultFilePosture=block");
    server.put(MAPS, map("kubearmor-config", &json!({"cluster": "test"})));
    assert_eq!(watching.next(keys).await, "cluster=test defaultFilePosture=block");
}

#[tokio::test]
async fn namespaces_and_the_node_are_known_by_what_is_ours() {
    let server = Server::start().await;
    let annotated = |name: &str| {
        json!({"metadata": {
            "name": name, "uid": "u", "labels": {"zone": "a"},
            "annotations": {"kubearmor-file-posture": "block", "other": "thing"},
        }})
    };
    server.put(NAMESPACES, annotated("shop"));
    server.put("/api/v1/nodes", annotated("n1"));
    server.put("/api/v1/nodes", annotated("n2"));
    let mut watching = Watching::start(&server);
    let mut view = View::default();
    while view.node().is_none() || view.wanted("shop").file.is_none() {
        let change = watching.next(Some).await;
        view.learn(change);
    }
    let node = view.node().unwrap();
    assert_eq!((node.name.as_str(), node.labels["zone"].as_str()), ("n1", "a"));
    assert_eq!(node.annotations.len(), 1);
}

fn summary(policies: u32) -> NodeSummary {
    let policy = |number: u32| PolicySummary {
        kind: "KubeArmorPolicy".into(),
        namespace: "shop".into(),
        name: format!("p{number}"),
        generation: 1,
        generation_in_force: None,
        state: PolicyState::Enforced,
        reason: String::new(),
        workloads: 1,
        not_expressed: Vec::new(),
        last_change: None,
    };
    NodeSummary { policies: (0..policies).map(policy).collect(), ..NodeSummary::default() }
}

#[tokio::test]
async fn a_summary_is_an_object_that_goes_with_its_node() {
    let server = Server::start().await;
    let node = Node { name: "n1".into(), uid: "u1".into(), ..Node::default() };
    let mut report = Report::new(server.client());
    report.write(&node, summary(1)).await.unwrap();
    assert!(report.is_written(&summary(1)) && !report.is_written(&summary(2)));
    let object = server.object(NODES, "", "n1").unwrap();
    assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], "u1");
    assert_eq!(object["spec"], json!({}));
    assert_eq!(object["status"]["policies"][0]["name"], "p0");
    let written = server.asked(NODES).len();
    report.write(&node, summary(2)).await.unwrap();
    assert_eq!(server.asked(NODES).len(), written + 1, "the status alone is written again");
    assert!(server.asked(NODES).iter().all(|asked| asked.contains("force=true")));
    assert_eq!(server.object(NODES, "", "n1").unwrap()["status"]["policies"][1]["name"], "p1");

    server.remove(NODES, "", "n1");
    report.write(&node, summary(3)).await.unwrap();
    assert_eq!(server.object(NODES, "", "n1").unwrap()["status"]["policies"][2]["name"], "p2");
}

#[tokio::test]
async fn what_could_not_be_written_is_not_taken_for_written() {
    let server = Server::start().await;
    server.refuse(NODES, 403);
    let node = Node { name: "n1".into(), ..Node::default() };
    let mut report = Report::new(server.client());
    assert!(report.write(&node, summary(1)).await.is_err());
    assert!(!report.is_written(&summary(1)));
    let _: Arc<Client> = Arc::new(server.client());
}
