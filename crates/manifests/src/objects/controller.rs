//! The controller: admission and the status of policies.

use serde_json::json;

use super::{
    Installation, Object, cluster_wide,
    pod::{self, Program},
    rbac,
};
use crate::{KubeArmorConfigSpec, labels};

/// Where API servers find it; the existing implementation's name.
const SERVICE: &str = "kubearmor-controller-webhook-service";
pub(super) const SECRET: &str = "kubearmor-controller-webhook-server-cert";
pub(super) const WEBHOOK: &str = "kubearmor-controller-validating-webhook-configuration";
const PORT: u16 = 9443;
const HEALTH: u16 = 8081;

pub(super) fn all(installation: &Installation, spec: &KubeArmorConfigSpec) -> [Object; 3] {
    let budget = json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": installation.named(labels::CONTROLLER, labels::CONTROLLER),
        "spec": {
            "minAvailable": 1,
            "selector": {"matchLabels": {labels::APP: labels::CONTROLLER}},
        },
    });
    [deployment(installation, spec), budget, service(installation)]
}

/// Asks the controller before a policy is taken. The controller fills in `caBundle`.
pub(super) fn webhook(installation: &Installation) -> Object {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": cluster_wide(WEBHOOK),
        "webhooks": [{
            "name": "policies.security.kubearmor.com",
            "admissionReviewVersions": ["v1"],
            // Nothing is kept of a question, so dry runs are asked as well.
            "sideEffects": "None",
            // A controller that is away must keep nobody from changing a policy: agents judge by themselves.
            "failurePolicy": "Ignore",
            "timeoutSeconds": 10,
            "matchPolicy": "Equivalent",
            "rules": [{
                "apiGroups": ["security.kubearmor.com"],
                "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"],
                "resources": [
                    "kubearmorpolicies",
                    "kubearmorclusterpolicies",
                    "kubearmorhostpolicies",
                    "kubearmornetworkpolicies",
                ],
                "scope": "*",
            }],
            "clientConfig": {"service": {
                "name": SERVICE,
                "namespace": installation.namespace,
                "path": "/validate",
                "port": 443,
            }},
        }],
    })
}

fn service(installation: &Installation) -> Object {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": installation.named(SERVICE, labels::CONTROLLER),
        "spec": {
            "selector": {labels::APP: labels::CONTROLLER},
            "ports": [
                {"name": "webhook", "port": 443, "targetPort": "webhook", "protocol": "TCP"},
                {"name": "metrics", "port": HEALTH, "targetPort": "probes", "protocol": "TCP"},
            ],
        },
    })
}

fn deployment(installation: &Installation, spec: &KubeArmorConfigSpec) -> Object {
    let port = spec.controller_port.unwrap_or(PORT);
    let (security, pod_security) = pod::unprivileged();
    let mut arguments = vec!["controller".to_owned(), format!("--webhook-port={port}")];
    let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
    if spec.tls.enable {
        // It is a client of the relay, whose alerts become events.
        arguments.extend([
            "--tlsEnabled=true".to_owned(),
            "--tlsCertProvider=external".to_owned(),
            format!("--tlsCertPath={}", labels::TLS_PATH),
        ]);
        let files = [("ca.crt", "ca.crt"), ("tls.crt", "client.crt"), ("tls.key", "client.key")];
        let sources = [pod::secret_files(labels::CLIENT_SECRET, &files)];
        mounts.push(json!({"name": "tls", "mountPath": labels::TLS_PATH, "readOnly": true}));
        volumes.push(json!({"name": "tls", "projected": {"defaultMode": 288, "sources": sources}}));
    }
    let template = pod::template(
        installation,
        spec,
        Program {
            name: labels::CONTROLLER,
            account: rbac::CONTROLLER,
            args: arguments,
            env: vec![
                pod::field("POD_NAME", "metadata.name"),
                pod::field("POD_NAMESPACE", "metadata.namespace"),
            ],
            own: &spec.kubearmor_controller_image,
            container: json!({
                "ports": [
                    {"name": "webhook", "containerPort": port, "protocol": "TCP"},
                    {"name": "probes", "containerPort": HEALTH, "protocol": "TCP"},
                ],
                "livenessProbe": {"httpGet": {"path": "/healthz", "port": "probes"}, "periodSeconds": 20},
                "readinessProbe": {"httpGet": {"path": "/readyz", "port": "probes"}, "periodSeconds": 5},
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "512Mi"}},
                "securityContext": security,
                "volumeMounts": mounts,
            }),
            pod: json!({
                "securityContext": pod_security,
                "priorityClassName": "system-cluster-critical",
                "nodeSelector": {"kubernetes.io/os": "linux"},
                "topologySpreadConstraints": pod::apart(labels::CONTROLLER),
                "volumes": volumes,
            }),
        },
    );
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": installation.named(labels::CONTROLLER, labels::CONTROLLER),
        "spec": {
            // Both answer admission; one of them leads and writes.
            "replicas": 2,
            "selector": {"matchLabels": {labels::APP: labels::CONTROLLER}},
            "template": template,
        },
    })
}
