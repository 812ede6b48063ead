//! What is not there for a while: the API server, the agent, the node.

use anyhow::{Context as _, Result, ensure};

use crate::{
    Test,
    cluster::{AGENT, AGENT_NAMESPACE, Cluster, eventually},
    manifest::{closes, pod},
};

pub(crate) const TESTS: &[Test] = &[
    ("api-server-is-away", api_server_is_away),
    ("agent-is-rolled-out-anew", agent_is_rolled_out_anew),
    ("node-is-booted-anew", node_is_booted_anew),
];

/// Rules hold meanwhile, and what changed meanwhile is made up for: here a policy that nobody told the agent of, for its
/// watch had ended with the server.
fn api_server_is_away(cluster: &Cluster) -> Result<()> {
    cluster.apply(&pod("web", "app: web"))?;
    cluster.await_pods("app=web")?;
    cluster.apply(&closes("closed", "app: web", "/etc/passwd"))?;
    cluster.await_closed("web", "/etc/passwd")?;
    let container = cluster.container_id("web")?;
    cluster.request("api-server-down")?;
    let read =
        ["ctr", "-n", "k8s.io", "task", "exec", "--exec-id", "r", &container, "cat", "/etc/passwd"];
    let meanwhile = cluster.on_node(&read);
    cluster.request("api-server-up")?;
    let (good, said) = meanwhile?;
    ensure!(!good && said.contains("ermission denied"), "without an API server: {said}");
    cluster.apply(&closes("closed", "app: web", "/etc/group"))?;
    cluster.await_closed("web", "/etc/group")?;
    cluster.expect_open("web", "/etc/passwd")
}

/// A program in the pod tries all the time; it never succeeds while one agent ends and the next begins.
fn agent_is_rolled_out_anew(cluster: &Cluster) -> Result<()> {
    cluster.apply(&pod("web", "app: web"))?;
    cluster.await_pods("app=web")?;
    cluster.apply(&closes("closed", "app: web", "/etc/passwd"))?;
    cluster.await_closed("web", "/etc/passwd")?;
    let trying = "while [ ! -e /tmp/over ]; do cat /etc/passwd >>/tmp/seen 2>/dev/null; done; echo over >/tmp/over";
    cluster.exec("web", "main", &["sh", "-c", &format!("({trying}) >/dev/null 2>&1 &")])?;
    cluster.kubectl(&["-n", AGENT_NAMESPACE, "rollout", "restart", AGENT])?;
    cluster.kubectl(&["-n", AGENT_NAMESPACE, "rollout", "status", AGENT, "--timeout=300s"])?;
    cluster.exec("web", "main", &["touch", "/tmp/over"])?;
    let (_, seen) = cluster.exec("web", "main", &["cat", "/tmp/seen"])?;
    ensure!(seen.is_empty(), "there was a gap: {seen}");
    cluster.apply(&closes("closed", "app: web", "/etc/group"))?;
    cluster.await_closed("web", "/etc/group")
}

/// The pod's container is another one afterwards, and is governed.
fn node_is_booted_anew(cluster: &Cluster) -> Result<()> {
    cluster.apply(&pod("web", "app: web"))?;
    cluster.await_pods("app=web")?;
    cluster.apply(&closes("closed", "app: web", "/etc/passwd"))?;
    cluster.await_closed("web", "/etc/passwd")?;
    let before = cluster.container_id("web")?;
    cluster.request("reboot")?;
    eventually("the pod has another container", || {
        let now = cluster.container_id("web").context("after the reboot");
        Ok(match now {
            Ok(now) if now != before => Ok(()),
            other => Err(format!("{other:?}")),
        })
    })?;
    cluster.await_pods("app=web")?;
    cluster.await_closed("web", "/etc/passwd")
}
