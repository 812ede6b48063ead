//! As much of an API server as a relay asks: pods, listed and watched, and the Leases of replicas.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::broadcast,
};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kubearmor/leases";
const PODS: &str = "/api/v1/namespaces/kubearmor/pods";

#[derive(Clone)]
pub(crate) struct ApiServer {
    pub(crate) client: kube::Client,
    state: Arc<Mutex<State>>,
    changes: broadcast::Sender<String>,
}

#[derive(Default)]
struct State {
    pods: Vec<Value>,
    leases: BTreeMap<String, Value>,
    deleted: Vec<String>,
    watches: usize,
}

pub(crate) fn pod(uid: &str, node: &str, ip: &str) -> Value {
    json!({
        "metadata": {"name": format!("agent-{uid}"), "namespace": "kubearmor", "uid": uid, "resourceVersion": "2"},
        "spec": {"nodeName": node, "containers": []},
        "status": {"phase": "Running", "podIP": ip},
    })
}

impl ApiServer {
    pub(crate) async fn start(pods: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let config = kube::Config::new(url.parse().unwrap());
        let server = Self {
            client: kube::Client::try_from(config).unwrap(),
            state: Arc::new(Mutex::new(State { pods, ..State::default() })),
            changes: broadcast::Sender::new(16),
        };
        let this = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let this = this.clone();
                tokio::spawn(async move { drop(this.serve(stream).await) });
            }
        });
        server
    }

    pub(crate) fn tell(&self, kind: &str, pod: &Value) {
        let mut pod = pod.clone();
        pod["apiVersion"] = "v1".into();
        pod["kind"] = "Pod".into();
        self.changes.send(format!("{}\n", json!({"type": kind, "object": pod}))).unwrap();
    }

    /// Leases as they would be if those replicas had renewed them.
    pub(crate) fn renewed(&self, replicas: &[&str]) {
        for replica in replicas {
            let name = format!("kubearmor-relay-{replica}");
            let lease = json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": name, "labels": {"kubearmor-app": "kubearmor-relay"}},
                "spec": {"holderIdentity": replica, "renewTime": "2026-12-01T00:00:00.000000Z"},
            });
            self.state().leases.insert(name, lease);
        }
    }

    /// Who holds a Lease, and since when.
    pub(crate) fn leases(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let of = |lease: &Value| {
            (text(&lease["spec"]["holderIdentity"]), text(&lease["spec"]["renewTime"]))
        };
        self.state().leases.values().map(of).collect()
    }

    pub(crate) fn deleted(&self) -> Vec<String> {
        self.state().deleted.clone()
    }

    pub(crate) fn watches(&self) -> usize {
        self.state().watches
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).await?;
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        if path == PODS && query.contains("watch=true") {
            return self.watch(stream).await;
        }
        let answer = self.answer(method, path, &body).to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            answer.len()
        );
        stream.write_all((head + &answer).as_bytes()).await
    }

    fn answer(&self, method: &str, path: &str, body: &[u8]) -> Value {
        let mut state = self.state();
        let name = path.strip_prefix(LEASES).map(|name| name.trim_start_matches('/').to_owned());
        match (method, path, name) {
            ("get", PODS, _) => json!({
                "apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": state.pods,
            }),
            ("get", LEASES, _) => json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "LeaseList", "metadata": {"resourceVersion": "1"},
                "items": state.leases.values().collect::<Vec<_>>(),
            }),
            ("patch", _, Some(name)) => {
                let lease: Value = serde_json::from_slice(body).unwrap();
                state.leases.insert(name, lease.clone());
                lease
            }
            ("delete", _, Some(name)) => {
                state.leases.remove(&name);
                state.deleted.push(name);
                json!({"apiVersion": "v1", "kind": "Status", "status": "Success"})
            }
            other => panic!("{other:?}"),
        }
    }

    /// Until the client leaves. The body ends with the connection.
    async fn watch(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut changes = self.changes.subscribe();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await?;
        self.state().watches += 1;
        while let Ok(change) = changes.recv().await {
            stream.write_all(change.as_bytes()).await?;
        }
        Ok(())
    }
}
