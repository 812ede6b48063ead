//! Pods of every make, and what happens to them.

use anyhow::{Result, ensure};

use crate::{
    Test,
    cluster::{Cluster, eventually},
    manifest::{closes, pod},
};

pub(crate) const TESTS: &[Test] = &[
    ("pod-runs", pod_runs),
    ("every-container-of-a-pod", every_container_of_a_pod),
    ("labels-of-a-running-pod", labels_of_a_running_pod),
    ("rolling-update", rolling_update),
];

/// The bed itself: a pod starts, programs run in it, and its output comes back.
fn pod_runs(cluster: &Cluster) -> Result<()> {
    cluster.apply(&pod("plain", "app: plain"))?;
    cluster.await_pods("app=plain")?;
    let (good, said) = cluster.exec("plain", "main", &["id", "-u"])?;
    ensure!(good && said == "0\n", "{said}");
    let said = cluster.kubectl(&["logs", "plain"])?;
    ensure!(said == "begun\n", "{said}");
    Ok(())
}

/// Containers that begin a pod, those that make it and those that are added to it.
fn every_container_of_a_pod(cluster: &Cluster) -> Result<()> {
    cluster.apply(&closes("closed", "app: web", "/etc/passwd"))?;
    cluster.await_policy("KubeArmorPolicy", "closed")?;
    cluster.apply(
        "apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - name: before
    image: testbed/split:1
    command: [sh, -c, 'cat /etc/passwd || echo closed']
  containers:
  - name: main
    image: testbed/split:1
    command: [sh, -c, 'cat /etc/passwd || echo closed; exec sleep infinity']
  - name: second
    image: testbed/alpine:1
    command: [sh, -c, 'cat /etc/passwd || echo closed; exec sleep infinity']
",
    )?;
    cluster.await_pods("app=web")?;
    for container in ["before", "main", "second"] {
        let said = cluster.kubectl(&["logs", "web", "-c", container])?;
        ensure!(said.ends_with("closed\n"), "{container}: {said}");
    }
    cluster.expect_closed_in("web", "second", "/etc/passwd")?;
    // One that ends by itself: kubectl waits for what it has attached to.
    let added = ["sh", "-c", "cat /etc/passwd || echo closed"];
    let debug = ["debug", "web", "--image=testbed/split:1", "--container=added", "--"];
    cluster.kubectl(&[&debug[..], &added[..]].concat())?;
    eventually("the added container has said what it saw", || {
        let said = cluster.kubectl(&["logs", "web", "-c", "added"]).unwrap_or_default();
        Ok(if said.ends_with("closed\n") { Ok(()) } else { Err(said) })
    })
}

fn labels_of_a_running_pod(cluster: &Cluster) -> Result<()> {
    cluster.apply(&closes("closed", "tier: secret", "/etc/passwd"))?;
    cluster.apply(&pod("web", "app: web"))?;
    cluster.await_pods("app=web")?;
    cluster.expect_open("web", "/etc/passwd")?;
    cluster.kubectl(&["label", "pod", "web", "tier=secret"])?;
    cluster.await_closed("web", "/etc/passwd")?;
    cluster.kubectl(&["label", "pod", "web", "tier-"])?;
    cluster.await_open("web", "/etc/passwd")
}

/// The pods of the new revision are governed from their first instruction, as those of the old one were.
fn rolling_update(cluster: &Cluster) -> Result<()> {
    let deployment = |revision: u32| {
        format!(
            "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web, revision: r{revision}}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: testbed/split:1
        command: [sh, -c, 'cat /etc/passwd || echo closed; exec sleep infinity']
"
        )
    };
    cluster.apply(&closes("closed", "app: web", "/etc/passwd"))?;
    cluster.await_policy("KubeArmorPolicy", "closed")?;
    for revision in [1, 2] {
        cluster.apply(&deployment(revision))?;
        cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=180s"])?;
        let selector = format!("revision=r{revision}");
        let logs = cluster.kubectl(&["logs", "-l", &selector, "--prefix"])?;
        let said = logs.lines().filter(|line| line.ends_with(" closed")).count();
        ensure!(said == 2, "of revision {revision}: {logs}");
    }
    Ok(())
}
