//! The operator itself.

use serde_json::json;

use super::{
    Installation, Object,
    pod::{self, Program},
};
use crate::{ImageSpec, KubeArmorConfigSpec, labels};

/// Of its deployment, its account and its roles.
pub const NAME: &str = labels::OPERATOR;

/// Its deployment. One replica is enough: what it has applied stays without it.
pub fn operator(installation: &Installation) -> Object {
    let (security, pod_security) = pod::unprivileged();
    let mut args = vec![
        "operator".to_owned(),
        format!("--deploymentName={NAME}"),
        format!("--image={}", installation.image),
        format!("--imagePullPolicy={}", installation.pull_policy),
    ];
    if !installation.pull_secrets.is_empty() {
        args.push(format!("--image-pull-secrets={}", installation.pull_secrets.join(",")));
    }
    let template = pod::template(
        installation,
        &KubeArmorConfigSpec::default(),
        Program {
            name: NAME,
            account: NAME,
            args,
            env: vec![pod::field("KUBEARMOR_OPERATOR_NS", "metadata.namespace")],
            own: &ImageSpec::default(),
            container: json!({
                "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
                "securityContext": security,
            }),
            pod: json!({"securityContext": pod_security}),
        },
    );
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": installation.named(NAME, NAME),
        "spec": {
            "replicas": 1,
            // Two would undo each other's work where they are of different versions.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {labels::APP: NAME}},
            "template": template,
        },
    })
}
