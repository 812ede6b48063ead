//! The relay: events of all agents in one place.

use serde_json::{Value, json};

use super::{
    Installation, Object,
    pod::{self, Program},
    rbac,
};
use crate::{ElasticsearchAuth, KubeArmorConfigSpec, labels};

const STATE: &str = "/var/lib/kubearmor/relay";
/// Where the authority of a search engine is mounted.
const SEARCH_CA: &str = "/cert";

pub(super) fn all(installation: &Installation, spec: &KubeArmorConfigSpec) -> [Object; 2] {
    [deployment(installation, spec), service(installation)]
}

fn service(installation: &Installation) -> Object {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": installation.named(labels::SERVICE, labels::RELAY),
        "spec": {
            "selector": {labels::APP: labels::RELAY},
            "ports": [{"name": "grpc", "port": 32767, "targetPort": "grpc", "protocol": "TCP"}],
        },
    })
}

fn deployment(installation: &Installation, spec: &KubeArmorConfigSpec) -> Object {
    let (security, pod_security) = pod::unprivileged();
    let mut arguments = vec!["relay".to_owned(), format!("--stateDir={STATE}")];
    let mut mounts = vec![json!({"name": "state", "mountPath": STATE})];
    // Spools of sinks, and the history if it is on.
    let mut volumes = vec![json!({"name": "state", "emptyDir": {}})];
    if spec.tls.enable {
        arguments.extend([
            "--tlsEnabled=true".to_owned(),
            format!("--tlsCertPath={}", labels::TLS_PATH),
            "--tlsCertProvider=external".to_owned(),
        ]);
        mounts.push(json!({"name": "tls", "mountPath": labels::TLS_PATH, "readOnly": true}));
        let server = [("ca.crt", "ca.crt"), ("tls.crt", "server.crt"), ("tls.key", "server.key")];
        let client = [("tls.crt", "client.crt"), ("tls.key", "client.key")];
        let sources = [
            pod::secret_files(labels::RELAY_SECRET, &server),
            pod::secret_files(labels::CLIENT_SECRET, &client),
        ];
        volumes.push(json!({"name": "tls", "projected": {"defaultMode": 288, "sources": sources}}));
    }
    let auth = &spec.adapters.elasticsearch.auth;
    if spec.adapters.elasticsearch.enabled && !auth.ca_cert_secret_name.is_empty() {
        mounts.push(json!({"name": "search-ca", "mountPath": SEARCH_CA, "readOnly": true}));
        volumes
            .push(json!({"name": "search-ca", "secret": {"secretName": auth.ca_cert_secret_name}}));
    }
    let mut template = pod::template(
        installation,
        spec,
        Program {
            name: labels::RELAY,
            account: rbac::RELAY,
            args: arguments,
            env: environment(spec),
            own: &spec.kubearmor_relay_image,
            container: json!({
                "ports": [
                    {"name": "grpc", "containerPort": 32767, "protocol": "TCP"},
                    {"name": "health", "containerPort": 32766, "protocol": "TCP"},
                    {"name": "metrics", "containerPort": 32765, "protocol": "TCP"},
                ],
                "livenessProbe": {"grpc": {"port": 32766}},
                "readinessProbe": {"grpc": {"port": 32766}},
                "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
                "securityContext": security,
                "volumeMounts": mounts,
            }),
            pod: json!({
                "securityContext": pod_security,
                "nodeSelector": {"kubernetes.io/os": "linux"},
                "topologySpreadConstraints": pod::apart(labels::RELAY),
                "volumes": volumes,
            }),
        },
    );
    template["metadata"]["annotations"] =
        json!({"prometheus.io/scrape": "true", "prometheus.io/port": "32765"});
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": installation.named(labels::RELAY, labels::RELAY),
        "spec": {
            // Each has everything, for any client. What goes to sinks is put out by one of them.
            "replicas": 2,
            // The next one is there before one leaves: clients come back to one that has what they have not seen.
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": {labels::APP: labels::RELAY}},
            "template": template,
        },
    })
}

/// What the existing relay reads from its environment.
fn environment(spec: &KubeArmorConfigSpec) -> Vec<Value> {
    let told = [
        ("ENABLE_STDOUT_LOGS", spec.enable_std_out_logs),
        ("ENABLE_STDOUT_ALERTS", spec.enable_std_out_alerts),
        ("ENABLE_STDOUT_MSGS", spec.enable_std_out_msgs),
    ];
    let set = |name: &str, value: &str| json!({"name": name, "value": value});
    let mut all: Vec<Value> = vec![
        pod::field("REPLICANAME", "metadata.name"),
        pod::field("KUBEARMOR_NAMESPACE", "metadata.namespace"),
    ];
    all.extend(
        told.map(|(name, told)| set(name, if told == Some(true) { "true" } else { "false" })),
    );
    let search = &spec.adapters.elasticsearch;
    if !search.enabled {
        return all;
    }
    let index = search.alerts_index.as_deref().unwrap_or("kubearmor-alerts");
    all.extend([
        set("ENABLE_DASHBOARDS", "true"),
        set("ES_URL", &search.url),
        set("ES_ALERTS_INDEX", index),
        set("ES_ALLOW_INSECURE_TLS", if search.auth.allow_insecure_tls { "true" } else { "false" }),
    ]);
    all.extend(credentials(&search.auth));
    all
}

fn credentials(auth: &ElasticsearchAuth) -> Vec<Value> {
    let mut all = Vec::new();
    let or = |text: &str, otherwise: &str| {
        if text.is_empty() { otherwise.to_owned() } else { text.to_owned() }
    };
    if !auth.secret_name.is_empty() {
        for (name, key) in [
            ("ES_USERNAME", or(&auth.username_key, "username")),
            ("ES_PASSWORD", or(&auth.password_key, "password")),
        ] {
            let from = json!({"secretKeyRef": {"name": auth.secret_name, "key": key}});
            all.push(json!({"name": name, "valueFrom": from}));
        }
    }
    if !auth.ca_cert_secret_name.is_empty() {
        let file = format!("{SEARCH_CA}/{}", or(&auth.ca_cert_key, "ca.crt"));
        all.push(json!({"name": "ES_CA_CERT_PATH", "value": file}));
    }
    all
}
