//! The agents: one set for each kind of node.

use serde_json::{Value, json};

use super::{
    Installation, Object,
    pod::{self, Program},
    rbac,
};
use crate::{KubeArmorConfigSpec, NodeKind, labels};

/// Capabilities and what they are for. All but three are given up once the agent has started; it says so in its log.
pub(crate) const CAPABILITIES: [(&str, &str); 13] = [
    ("BPF", "programs and maps"),
    ("CHOWN", "the socket of a group, where gRPCSocketGroup names one"),
    ("DAC_OVERRIDE", "directories of the host that are not root's"),
    ("DAC_READ_SEARCH", "files and links in the roots of containers, whoever owns them"),
    ("FOWNER", "files of others under the agent's names in /tmp"),
    ("MAC_ADMIN", "BPF programs that are security modules"),
    ("NET_ADMIN", "the program that judges DNS packets"),
    ("PERFMON", "programs that look at the kernel's objects"),
    ("SETPCAP", "giving capabilities up"),
    ("SYSLOG", "addresses of the kernel's counters"),
    ("SYS_ADMIN", "loading; the host's control group namespace"),
    ("SYS_PTRACE", "roots, programs and descriptors of other processes"),
    ("SYS_RESOURCE", "locked memory, on older kernels"),
];

struct Mount {
    name: &'static str,
    /// On the host and in the container.
    path: &'static str,
    /// What has to be there: `Directory`, `DirectoryOrCreate`.
    kind: &'static str,
    writable: bool,
}

const STATE: &str = "/var/lib/kubearmor/state";
const RUN: &str = "/run/kubearmor";

/// Paths are the same inside: what keeps rules in force has one name.
const MOUNTS: [Mount; 5] = [
    // Pins: rules stay while the agent is away.
    Mount { name: "bpf", path: "/sys/fs/bpf", kind: "Directory", writable: true },
    // The groups of all containers, not the pod's own alone.
    Mount { name: "cgroup", path: "/sys/fs/cgroup", kind: "Directory", writable: false },
    // Sockets of runtimes and of NRI; the directories, since runtimes make their sockets anew.
    Mount { name: "run", path: "/run", kind: "Directory", writable: false },
    // The lock of the one agent, and where runtime hooks ask.
    Mount { name: "run-kubearmor", path: RUN, kind: "DirectoryOrCreate", writable: true },
    // Policies in force, history, events that wait for their peers.
    Mount { name: "state", path: STATE, kind: "DirectoryOrCreate", writable: true },
];

const SECURITY_FS: Mount =
    Mount { name: "securityfs", path: "/sys/kernel/security", kind: "Directory", writable: false };

/// The set of agents for one kind of node, or for all nodes.
pub fn agent(
    installation: &Installation,
    spec: &KubeArmorConfigSpec,
    kind: Option<&NodeKind>,
) -> Object {
    let name = kind.map_or_else(|| labels::AGENT.to_owned(), NodeKind::name);
    let selector = json!({labels::APP: labels::AGENT, "kubearmor.io/kind": name});
    let mut template = pod::template(
        installation,
        spec,
        Program {
            name: labels::AGENT,
            account: rbac::AGENT,
            args: arguments(spec),
            env: vec![
                pod::field("KUBEARMOR_NODENAME", "spec.nodeName"),
                pod::field("KUBEARMOR_NAMESPACE", "metadata.namespace"),
            ],
            own: &spec.kubearmor_image,
            container: container(spec, kind),
            pod: host_pod(spec, kind),
        },
    );
    template["metadata"]["labels"]["kubearmor.io/kind"] = json!(name);
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": installation.named(&name, labels::AGENT),
        "spec": {
            "selector": {"matchLabels": selector},
            // Rules stay in force while an agent is replaced.
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
            "template": template,
        },
    })
}

fn arguments(spec: &KubeArmorConfigSpec) -> Vec<String> {
    let mut arguments = vec![
        "agent".to_owned(),
        "--k8s=true".to_owned(),
        "--gRPC=32767".to_owned(),
        format!("--stateDir={STATE}"),
        format!("--runDir={RUN}"),
    ];
    if let Some(told) = spec.enable_nri {
        arguments.push(format!("--enableNRI={told}"));
    }
    if spec.tls.enable {
        arguments.extend([
            "--tlsEnabled=true".to_owned(),
            "--tlsCertProvider=external".to_owned(),
            format!("--tlsCertPath={}", labels::TLS_PATH),
        ]);
    }
    arguments
}

fn container(spec: &KubeArmorConfigSpec, kind: Option<&NodeKind>) -> Value {
    let mut mounts: Vec<Value> = mounts(kind).map(|mount| {
        json!({"name": mount.name, "mountPath": mount.path, "readOnly": !mount.writable})
    }).collect();
    // The file that `karmor probe` reads on hosts.
    mounts.push(json!({"name": "tmp", "mountPath": "/tmp"}));
    if let Some(directory) = kind.and_then(NodeKind::socket_directory) {
        mounts.push(json!({"name": "runtime", "mountPath": directory, "readOnly": true}));
    }
    if spec.tls.enable {
        mounts.push(json!({"name": "tls", "mountPath": labels::TLS_PATH, "readOnly": true}));
    }
    // Answers as soon as stored policies hold.
    let health = json!({"port": 32766});
    json!({
        "ports": [
            {"name": "grpc", "containerPort": 32767, "hostPort": 32767, "protocol": "TCP"},
            {"name": "health", "containerPort": 32766, "hostPort": 32766, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 32765, "hostPort": 32765, "protocol": "TCP"},
        ],
        "startupProbe": {"grpc": health, "periodSeconds": 2, "failureThreshold": 60},
        "livenessProbe": {"grpc": health, "periodSeconds": 10, "failureThreshold": 6},
        "readinessProbe": {"grpc": health, "periodSeconds": 10},
        // As the unit of hosts without Kubernetes. The kernel's maps count as well.
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "runAsUser": 0,
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {
                "drop": ["ALL"],
                "add": CAPABILITIES.map(|(capability, _)| capability),
            },
            // The agent brings a filter of its own, and loads what others must not.
            "seccompProfile": {"type": "Unconfined"},
            "appArmorProfile": {"type": "Unconfined"},
        },
        "volumeMounts": mounts,
    })
}

fn host_pod(spec: &KubeArmorConfigSpec, kind: Option<&NodeKind>) -> Value {
    let mut volumes: Vec<Value> = mounts(kind).map(|mount| {
        json!({"name": mount.name, "hostPath": {"path": mount.path, "type": mount.kind}})
    }).collect();
    volumes.push(json!({"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}}));
    if let Some(directory) = kind.and_then(NodeKind::socket_directory) {
        volumes
            .push(json!({"name": "runtime", "hostPath": {"path": directory, "type": "Directory"}}));
    }
    if spec.tls.enable {
        let files = [("ca.crt", "ca.crt"), ("tls.crt", "server.crt"), ("tls.key", "server.key")];
        let sources = [pod::secret_files(labels::AGENT_SECRET, &files)];
        volumes.push(json!({"name": "tls", "projected": {"defaultMode": 256, "sources": sources}}));
    }
    let selector = kind.map_or_else(
        || [("kubernetes.io/os".into(), "linux".into())].into(),
        NodeKind::node_selector,
    );
    json!({
        // Processes of all containers are looked at by their numbers.
        "hostPID": true,
        // Before there is a network for pods, rules have to hold; and clients reach agents at their nodes.
        "hostNetwork": true,
        "dnsPolicy": "ClusterFirstWithHostNet",
        "priorityClassName": "system-node-critical",
        "nodeSelector": selector,
        // No node is left without.
        "tolerations": [{"operator": "Exists"}],
        "terminationGracePeriodSeconds": 30,
        "volumes": volumes,
    })
}

fn mounts(kind: Option<&NodeKind>) -> impl Iterator<Item = &'static Mount> {
    let security_fs = kind.is_none_or(|kind| kind.security_fs);
    MOUNTS.iter().chain(security_fs.then_some(&SECURITY_FS))
}
