//! The whole controller against an API server: policies and nodes in, statuses and events out.

use std::{future::Future, time::Duration};

use controller::{Options, admission::Strictness, run_until, violations::AlertSource};
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    api::Server,
    certificates::{WEBHOOK, place, register},
};

const GROUP: &str = "/apis/security.kubearmor.com/v1";
pub(crate) const POLICY: &str =
    "/apis/security.kubearmor.com/v1/namespaces/shop/kubearmorpolicies/web";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kubearmor/leases/kubearmor-controller";

pub(crate) struct Replica {
    end: oneshot::Sender<()>,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Replica {
    pub(crate) fn start(server: &Server, identity: &str, alerts: Option<AlertSource>) -> Self {
        let options = Options {
            webhook: ([127, 0, 0, 1], 0).into(),
            probes: ([127, 0, 0, 1], 0).into(),
            place: place(),
            lease: "kubearmor-controller".into(),
            identity: identity.into(),
            strictness: Strictness::Lint,
            writes: 5,
            alerts,
        };
        let (end, ended) = oneshot::channel();
        let running =
            tokio::spawn(run_until(server.client(), options, async { drop(ended.await) }));
        Self { end, running }
    }

    pub(crate) async fn end(self) {
        drop(self.end);
        self.running.await.unwrap().unwrap();
    }
}

pub(crate) fn policy(path: &str) -> Value {
    json!({
        "apiVersion": "security.kubearmor.com/v1",
        "kind": "KubeArmorPolicy",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "file": {"matchPaths": [{"path": path}]},
            "action": "Block",
        },
        "status": {"status": "ok"},
    })
}

fn node(name: &str, generation: i64, state: &str) -> Value {
    json!({
        "apiVersion": "security.kubearmor.com/v1",
        "kind": "KubeArmorNode",
        "metadata": {"name": name},
        "spec": {},
        "status": {
            "enforcer": "BPFLSM",
            "policies": [{
                "kind": "KubeArmorPolicy",
                "namespace": "shop",
                "name": "web",
                "generation": generation,
                "state": state,
                "workloads": 2,
                "lastChange": "2026-01-01T00:00:00Z",
            }],
        },
    })
}

fn node_path(name: &str) -> String {
    format!("{GROUP}/kubearmornodes/{name}")
}

/// Until the API server has what is wanted. Whoever waits in vain is ended by the time of the whole test.
pub(crate) async fn until<T>(found: impl Fn() -> Option<T>) -> T {
    loop {
        if let Some(found) = found() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), work).await.expect("it comes to an end")
}

fn status(server: &Server, word: &str) -> Option<Value> {
    let status = server.get(POLICY)?["status"].take();
    (status["status"] == word).then_some(status)
}

#[tokio::test]
async fn a_policy_is_told_what_became_of_it() {
    within(async {
        let server = Server::start().await;
        register(&server);
        server.put(POLICY, policy("/etc/shadow"));
        server.put(&node_path("n1"), node("n1", 1, "Enforced"));
        server.put(&node_path("n2"), node("n2", 1, "Enforced"));
        let (one, two) = (Replica::start(&server, "one", None), Replica::start(&server, "two", None));

        let enforced = until(|| status(&server, "Enforced")).await;
        assert_eq!(enforced["observedGeneration"], 1);
        assert_eq!((&enforced["workloads"], &enforced["nodeCounts"]["enforced"]), (&json!(4), &json!(2)));
        let writes = server.written(POLICY);
        assert_eq!(writes.len(), 1, "once, for two nodes and by one replica: {writes:?}");
        let body = &writes[0].body;
        assert_eq!(writes[0].path, format!("{POLICY}/status"));
        assert_eq!(body["metadata"], json!({"name": "web", "namespace": "shop", "uid": server.get(POLICY).unwrap()["metadata"]["uid"]}));
        assert!(body.get("spec").is_none());

        // The next generation is one that no agent takes; an earlier status stays nobody's business.
        server.put(POLICY, Value::Object({
            let mut broken = policy("/etc/shadow").as_object().unwrap().clone();
            broken["spec"]["file"] = json!({"matchPatterns": [{"pattern": "/etc/[a"}]});
            broken["status"] = server.get(POLICY).unwrap()["status"].clone();
            broken
        }));
        let rejected = until(|| status(&server, "Rejected")).await;
        assert_eq!(rejected["observedGeneration"], 2);
        assert_eq!(rejected["conditions"][0]["status"], "False");
        let message = rejected["conditions"][0]["message"].as_str().unwrap();
        assert!(message.starts_with("spec.file.matchPatterns[0].pattern: "), "{message}");
        assert_eq!(server.written(POLICY).len(), 2);

        one.end().await;
        two.end().await;
        let lease = server.get(LEASE).unwrap();
        assert!(lease["spec"]["holderIdentity"].is_null(), "given back: {lease}");
        let trusted = &server.get(WEBHOOK).unwrap()["webhooks"][0]["clientConfig"]["caBundle"];
        assert!(trusted.is_string());
    })
    .await;
}

#[tokio::test]
async fn what_is_true_already_is_not_written_again() {
    within(async {
        let server = Server::start().await;
        register(&server);
        server.put(POLICY, policy("/etc/shadow"));
        server.put(&node_path("n1"), node("n1", 1, "Enforced"));
        let first = Replica::start(&server, "one", None);
        until(|| status(&server, "Enforced")).await;
        first.end().await;

        // The next one reads it from the API server, and writes only what is news.
        let second = Replica::start(&server, "two", None);
        let other = format!("{GROUP}/kubearmorclusterpolicies/rule");
        server.put(
            &other,
            json!({
                "apiVersion": "security.kubearmor.com/v1",
                "kind": "KubeArmorClusterPolicy",
                "metadata": {"name": "rule"},
                "spec": {"selector": {"matchExpressions": [
                    {"key": "namespace", "operator": "In", "values": ["shop"]}]},
                    "process": {"matchPaths": [{"path": "/usr/bin/nc"}]}, "action": "Block"},
            }),
        );
        until(|| server.get(&other).filter(|other| other["status"]["status"] == "Pending")).await;
        assert_eq!(server.written(POLICY).len(), 1);
        second.end().await;
    })
    .await;
}

/// What of a value its schema does not declare, or declares otherwise.
fn undeclared(value: &Value, schema: &Value, at: &str, found: &mut Vec<String>) {
    let expected = schema["type"].as_str().unwrap_or_default();
    let fits = match value {
        Value::Object(_) => expected == "object",
        Value::Array(_) => expected == "array",
        Value::String(_) => expected == "string",
        Value::Number(number) => expected == "integer" && number.is_u64(),
        Value::Bool(_) => expected == "boolean",
        Value::Null => false,
    };
    if !fits {
        found.push(format!("{at}: {value}, declared as {expected:?}"));
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        undeclared(inner, &schema["properties"][name], &format!("{at}.{name}"), found);
    }
    for inner in value.as_array().into_iter().flatten() {
        undeclared(inner, &schema["items"], &format!("{at}[]"), found);
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        if value.get(required.as_str().unwrap()).is_none() {
            found.push(format!("{at}: without {required}"));
        }
    }
}

#[tokio::test]
async fn the_definitions_declare_each_field_of_a_status() {
    within(async {
        let server = Server::start().await;
        register(&server);
        server.put(POLICY, policy("/etc/shadow"));
        let mut partial = node("n1", 1, "Partial");
        let told = &mut partial["status"]["policies"][0];
        told["reason"] = json!("not all of it");
        told["generationInForce"] = json!(1);
        told["notExpressed"] = json!([{"rule": "spec.file.matchPaths[0]", "reason": "no hook"}]);
        server.put(&node_path("n1"), partial);
        let replica = Replica::start(&server, "one", None);
        let partial = until(|| status(&server, "Partial")).await;
        server.put(&node_path("n1"), node("n1", 1, "Enforced"));
        let enforced = until(|| status(&server, "Enforced")).await;
        replica.end().await;

        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/crds/kubearmorpolicies.yaml");
        let definition: Value =
            serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let root = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let mut found = Vec::new();
        for written in [&partial, &enforced] {
            undeclared(written, &root["properties"]["status"], "status", &mut found);
        }
        assert!(found.is_empty(), "{found:#?}");
        let fields: std::collections::BTreeSet<&String> = [&partial, &enforced]
            .into_iter()
            .flat_map(|written| written.as_object().unwrap().keys())
            .collect();
        let declared: std::collections::BTreeSet<&String> =
            root["properties"]["status"]["properties"].as_object().unwrap().keys().collect();
        assert_eq!(fields, declared, "and no field is declared that nothing writes");
    })
    .await;
}
