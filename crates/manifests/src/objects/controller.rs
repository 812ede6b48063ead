//! The controller: admission and the status of policies.

use serde_json::json;

use super::{
    Installation, Object,
    pod::{self, Program},
    rbac,
};
use crate::{KubeArmorConfigSpec, labels};

/// Where API servers find it; the existing implementation's name.
const SERVICE: &str = "kubearmor-controller-webhook-service";
const PORT: u16 = 9443;
const HEALTH: u16 = 8081;

pub(super) fn all(installation: &Installation, spec: &KubeArmorConfigSpec) -> [Object; 2] {
    [deployment(installation, spec), service(installation)]
}

fn service(installation: &Installation) -> Object {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": installation.named(SERVICE, labels::CONTROLLER),
        "spec": {
            "selector": {labels::APP: labels::CONTROLLER},
            "ports": [{"name": "webhook", "port": 443, "targetPort": "webhook", "protocol": "TCP"}],
        },
    })
}

fn deployment(installation: &Installation, spec: &KubeArmorConfigSpec) -> Object {
    let port = spec.controller_port.unwrap_or(PORT);
    let (security, pod_security) = pod::unprivileged();
    let probe = json!({"path": "/healthz", "port": "health"});
    let template = pod::template(
        installation,
        spec,
        Program {
            name: labels::CONTROLLER,
            account: rbac::CONTROLLER,
            args: vec![
                "controller".to_owned(),
                "--leader-elect".to_owned(),
                format!("--health-probe-bind-address=:{HEALTH}"),
                format!("--webhook-port={port}"),
            ],
            env: vec![pod::field("KUBEARMOR_NAMESPACE", "metadata.namespace")],
            own: &spec.kubearmor_controller_image,
            container: json!({
                "ports": [
                    {"name": "webhook", "containerPort": port, "protocol": "TCP"},
                    {"name": "health", "containerPort": HEALTH, "protocol": "TCP"},
                ],
                "livenessProbe": {"httpGet": probe, "periodSeconds": 20},
                "readinessProbe": {"httpGet": {"path": "/readyz", "port": "health"}, "periodSeconds": 10},
                "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "512Mi"}},
                "securityContext": security,
            }),
            pod: json!({"securityContext": pod_security, "priorityClassName": "system-cluster-critical"}),
        },
    );
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": installation.named(labels::CONTROLLER, labels::CONTROLLER),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {labels::APP: labels::CONTROLLER}},
            "template": template,
        },
    })
}
