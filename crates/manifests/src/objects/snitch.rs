//! Looking at a node, once after each of its starts.

use serde_json::json;

use super::{
    Installation, Object,
    pod::{self, Program},
    rbac,
};
use crate::{ImageSpec, KubeArmorConfigSpec, labels};

/// How long a job that has ended is kept: its pod tells what it found.
const KEPT_SECONDS: u32 = 600;

/// The job that looks at the node `node`, which has run since its start `boot`, by the runtime of which the kubelet tells. It may ask the API server for nothing; what it finds it leaves
/// as its last words, and the operator writes the labels: so a node that was taken over can say nothing of others.
pub fn snitch(
    installation: &Installation,
    spec: &KubeArmorConfigSpec,
    node: &str,
    boot: &str,
    runtime: &str,
) -> Object {
    let image = ImageSpec {
        // Of nodes, as agents are: every kind of node has them.
        image: spec.kubearmor_image.image.clone(),
        image_pull_policy: spec.kubearmor_image.image_pull_policy.clone(),
        image_pull_secrets: spec.kubearmor_image.image_pull_secrets.clone(),
        ..ImageSpec::default()
    };
    let shown = image.image.as_ref().unwrap_or(&installation.image);
    let sum = crc32fast::hash(format!("{node}\n{boot}\n{runtime}\n{shown}").as_bytes());
    let name = format!("{}-{sum:08x}", labels::SNITCH);
    let roots = [
        ("run", "/run", "/rootfs/run"),
        ("var", "/var", "/rootfs/var"),
        ("securityfs", "/sys/kernel/security", "/sys/kernel/security"),
    ];
    let mut template = pod::template(
        installation,
        &KubeArmorConfigSpec { global_node_selector: [].into(), ..spec.clone() },
        Program {
            name: labels::SNITCH,
            account: rbac::SNITCH,
            args: vec![
                "snitch".to_owned(),
                "--pathprefix=/rootfs".to_owned(),
                format!("--runtime={runtime}"),
                "--tell=/dev/termination-log".to_owned(),
            ],
            env: vec![],
            own: &image,
            container: json!({
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
                "securityContext": {
                    // Directories of sockets are root's. Nothing beyond is needed.
                    "runAsUser": 0,
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "volumeMounts": roots.map(|(name, _, inside)| {
                    json!({"name": name, "mountPath": inside, "readOnly": true})
                }),
            }),
            pod: json!({
                "nodeName": node,
                "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "tolerations": [{"operator": "Exists"}],
                "priorityClassName": "system-node-critical",
                "volumes": roots.map(|(name, path, _)| json!({"name": name, "hostPath": {"path": path}})),
            }),
        },
    );
    template["metadata"]["annotations"][labels::LOOKED_AT] = json!(boot);
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": installation.named(&name, labels::SNITCH),
        "spec": {
            "backoffLimit": 2,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": template,
        },
    })
}
