//! Each kind of policy, applied, changed and deleted with kubectl: what it selects is governed and released.

use anyhow::{Result, ensure};

use crate::{
    Test,
    cluster::{Cluster, eventually},
    manifest::{closes, closes_in, pod},
};

pub(crate) const TESTS: &[Test] = &[
    ("policy-of-a-namespace", policy_of_a_namespace),
    ("policy-of-the-cluster", policy_of_the_cluster),
    ("policy-of-the-host", policy_of_the_host),
    ("policy-of-the-nodes-network", policy_of_the_nodes_network),
    ("refused-policy-is-said", refused_policy_is_said),
];

fn policy_of_a_namespace(cluster: &Cluster) -> Result<()> {
    cluster.apply(&pod("web", "app: web"))?;
    cluster.apply(&pod("other", "app: other"))?;
    cluster.await_pods("app=web")?;
    cluster.await_pods("app=other")?;
    cluster.await_open("web", "/etc/passwd")?;
    cluster.apply(&closes("closed", "app: web", "/etc/passwd"))?;
    cluster.await_closed("web", "/etc/passwd")?;
    cluster.expect_open("web", "/etc/group")?;
    cluster.expect_open("other", "/etc/passwd")?;
    cluster.apply(&closes("closed", "app: web", "/etc/group"))?;
    cluster.await_closed("web", "/etc/group")?;
    cluster.expect_open("web", "/etc/passwd")?;
    cluster.kubectl(&["delete", "kubearmorpolicy", "closed"])?;
    cluster.await_open("web", "/etc/group")
}

fn policy_of_the_cluster(cluster: &Cluster) -> Result<()> {
    cluster.apply(&pod("web", "app: web"))?;
    cluster.await_pods("app=web")?;
    let name = cluster.namespace();
    cluster.apply(&closes_in(name, name, "/etc/passwd"))?;
    cluster.await_closed("web", "/etc/passwd")?;
    cluster.apply(&closes_in(name, name, "/etc/group"))?;
    cluster.await_closed("web", "/etc/group")?;
    cluster.expect_open("web", "/etc/passwd")?;
    cluster.kubectl(&["delete", "kubearmorclusterpolicy", name])?;
    cluster.await_open("web", "/etc/group")
}

fn policy_of_the_host(cluster: &Cluster) -> Result<()> {
    let policy = |file: &str| {
        format!(
            "apiVersion: security.kubearmor.com/v1
kind: KubeArmorHostPolicy
metadata: {{name: closed}}
spec:
  nodeSelector: {{matchLabels: {{kubernetes.io/hostname: testbed}}}}
  file: {{matchPaths: [{{path: {file}}}]}}
  action: Block
"
        )
    };
    let reads = |file: &str| cluster.on_node(&["cat", file]);
    let becomes = |file: &'static str, open: bool| {
        let what = format!("{file} of the node is {}", if open { "open" } else { "closed" });
        eventually(&what, || {
            let (good, said) = reads(file)?;
            Ok(if good == open { Ok(()) } else { Err(said) })
        })
    };
    becomes("/etc/issue", true)?;
    cluster.apply(&policy("/etc/issue"))?;
    becomes("/etc/issue", false)?;
    cluster.apply(&policy("/etc/debian_version"))?;
    becomes("/etc/debian_version", false)?;
    ensure!(reads("/etc/issue")?.0, "the earlier rule is still in force");
    cluster.kubectl(&["delete", "kubearmorhostpolicy", "closed"])?;
    becomes("/etc/debian_version", true)
}

/// A service of the node, behind a port of the loopback interface: who asks it gets no answer once the port is closed.
fn policy_of_the_nodes_network(cluster: &Cluster) -> Result<()> {
    let policy = |port: u16| {
        format!(
            "apiVersion: security.kubearmor.com/v1
kind: KubeArmorNetworkPolicy
metadata: {{name: closed}}
spec:
  nodeSelector: {{matchLabels: {{kubernetes.io/hostname: testbed}}}}
  ingress:
  - iface: [lo]
    ports: [{{port: \"{port}\", protocol: TCP}}]
  action: Block
"
        )
    };
    // The kubelet's own: it listens there anyhow.
    let healthy = "http://127.0.0.1:10248/healthz";
    let becomes = |open: bool| {
        eventually(&format!("the kubelet's port answers: {open}"), || {
            let (good, said) = cluster.on_node(&["curl", "-s", "-m", "2", healthy])?;
            Ok(if good == open { Ok(()) } else { Err(said) })
        })
    };
    becomes(true)?;
    cluster.apply(&policy(10248))?;
    becomes(false)?;
    cluster.apply(&policy(4711))?;
    becomes(true)?;
    cluster.apply(&policy(10248))?;
    becomes(false)?;
    cluster.kubectl(&["delete", "kubearmornetworkpolicy", "closed"])?;
    becomes(true)
}

/// The definitions are the first who refuse, and name the field.
fn refused_policy_is_said(cluster: &Cluster) -> Result<()> {
    let wrong = closes("wrong", "app: web", "/etc/passwd").replace("Block", "Explode");
    let output = cluster.feed(&["apply", "-f", "-"], &wrong)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && said.contains("spec.action"), "{said}");
    Ok(())
}
