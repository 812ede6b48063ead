//! `karmor logs` against a relay that only a cluster's API server leads to.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod api_server;

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use feed::{
    Certificates, Feed, FeedOptions, Listener, Provider, Services, TlsOptions, listen, serve,
};
use telemetry::Alert;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use self::api_server::ApiServer;

const PODS: &str = r#"{"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": [
    {"metadata": {"name": "relay-0", "namespace": "kubearmor"}, "spec": {"containers": []}, "status": {"phase": "Pending"}},
    {"metadata": {"name": "relay-1", "namespace": "kubearmor"}, "spec": {"containers": []}, "status": {"phase": "Running"}}
]}"#;
const NONE: &str =
    r#"{"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": []}"#;

struct Cluster {
    feed: Feed,
    api: ApiServer,
    kubeconfig: PathBuf,
    directory: TempDir,
    _runtime: Runtime,
}

impl Cluster {
    fn start(pods: &str) -> Self {
        Self::with(pods, None)
    }

    /// With the directory of its certificates, if it speaks TLS.
    fn with(pods: &str, tls: Option<&Path>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(listen(([127, 0, 0, 1], 0).into(), "gRPC")).unwrap();
        let relay = listener.local_addr().unwrap().to_string();
        let feed = Feed::new(FeedOptions::default());
        let (listener, secret) = match tls {
            None => (Listener::Tcp(listener), String::new()),
            Some(directory) => {
                let names = vec!["localhost".to_owned()];
                let provider = Provider::SelfMade;
                let options = TlsOptions { directory: directory.to_owned(), provider, names };
                let certificates = Arc::new(Certificates::open(options).unwrap());
                (Listener::Tls(listener, certificates), secret(directory))
            }
        };
        runtime.spawn(serve(listener, feed.clone(), Services::default(), std::future::pending()));
        let api = ApiServer::start(&runtime, pods, &secret, &relay);
        let directory = tempfile::tempdir().unwrap();
        let kubeconfig = directory.path().join("config");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: one\n\
             clusters: [{{name: c, cluster: {{server: \"{}\"}}}}]\n\
             users: [{{name: u, user: {{}}}}]\n\
             contexts: [{{name: one, context: {{cluster: c, user: u}}}}]\n",
            api.url
        );
        std::fs::write(&kubeconfig, text).unwrap();
        Self { feed, api, kubeconfig, directory, _runtime: runtime }
    }

    fn karmor(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_karmor"))
            .args(arguments)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .env_remove("KUBEARMOR_SERVICE")
            .env_remove("KUBERNETES_SERVICE_HOST")
            .env("HOME", self.directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Until so many clients watch alerts, or have left.
    fn until_listeners(&self, count: usize) {
        let end = Instant::now() + Duration::from_mins(1);
        while self.feed.streams()[0].listeners != count {
            assert!(Instant::now() < end, "it hangs");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn alert(&self, policy: &str) {
        let _ = self.feed.publish_alert(Alert { policy_name: policy.into(), ..Alert::default() });
    }
}

/// As the operator makes it.
fn secret(directory: &Path) -> String {
    let text = |name: &str| STANDARD.encode(std::fs::read(directory.join(name)).unwrap());
    let (authority, certificate, key) = (text("ca.crt"), text("client.crt"), text("client.key"));
    format!(
        r#"{{"apiVersion": "v1", "kind": "Secret", "metadata": {{"name": "kubearmor-client-certs"}},
            "data": {{"ca.crt": "{authority}", "tls.crt": "{certificate}", "tls.key": "{key}"}}}}"#
    )
}

#[test]
fn with_tls_the_certificate_is_the_clusters() {
    let certificates = tempfile::tempdir().unwrap();
    let cluster = Cluster::with(PODS, Some(certificates.path()));
    let mut karmor = cluster.karmor(&["logs", "--json", "--limit", "1"]);
    cluster.until_listeners(1);
    cluster.alert("over TLS");
    let mut shown = String::new();
    karmor.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
    assert!(shown.contains("over TLS"), "{shown} {}", errors(&mut karmor));
    assert!(karmor.wait().unwrap().success());
    let secret = "/api/v1/namespaces/kubearmor/secrets/kubearmor-client-certs";
    assert!(cluster.api.asked().iter().any(|path| path.starts_with(secret)));

    let without = ["logs", "--secure", "--readCAFromSecret=false", "--tlsCertPath", "/nowhere"];
    let mut karmor = cluster.karmor(&without);
    assert_eq!(karmor.wait().unwrap().code(), Some(1));
    let said = errors(&mut karmor);
    assert!(said.contains("/nowhere/ca.crt") && said.contains("hint: "), "{said}");
}

fn errors(child: &mut Child) -> String {
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    errors
}

#[test]
fn the_relay_is_found_and_a_break_on_the_way_costs_nothing() {
    let cluster = Cluster::start(PODS);
    let mut karmor = cluster.karmor(&["logs", "--json", "--limit", "2"]);
    cluster.until_listeners(1);
    cluster.alert("before");
    let mut lines = BufReader::new(karmor.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("before"));
    cluster.api.break_off();
    cluster.until_listeners(0);
    cluster.alert("meanwhile");
    assert!(lines.next().unwrap().unwrap().contains("meanwhile"));
    assert!(karmor.wait().unwrap().success());
    let said = errors(&mut karmor);
    assert!(said.contains(&format!("the relay of the cluster {}", cluster.api.url)), "{said}");
    assert!(said.contains("forwarding a port of pod kubearmor/relay-1"), "{said}");
    assert!(!said.contains("missed"), "{said}");
    let asked = cluster.api.asked();
    assert!(asked[0].contains("labelSelector=kubearmor-app%3Dkubearmor-relay"), "{asked:?}");
    let ways = "/api/v1/namespaces/kubearmor/pods/relay-1/portforward?";
    assert_eq!(asked.iter().filter(|path| path.starts_with(ways)).count(), 2, "{asked:?}");
}

#[test]
fn a_cluster_without_a_relay_is_told_with_the_way_out() {
    let cluster = Cluster::start(NONE);
    let mut karmor = cluster.karmor(&["summary", "--duration", "1s"]);
    assert_eq!(karmor.wait().unwrap().code(), Some(1));
    let said = errors(&mut karmor);
    assert!(said.contains("no pod is labelled kubearmor-app=kubearmor-relay"), "{said}");
    assert!(said.contains("hint: ") && said.contains("--gRPC"), "{said}");
}

#[test]
fn a_context_that_is_not_there_is_told() {
    let cluster = Cluster::start(PODS);
    let mut karmor = cluster.karmor(&["logs", "--context", "another"]);
    assert_eq!(karmor.wait().unwrap().code(), Some(1));
    let said = errors(&mut karmor);
    assert!(said.contains("another") && said.contains("hint: "), "{said}");
    assert!(cluster.api.asked().is_empty());
}
