//! Pods of every make.

use anyhow::{Result, ensure};

use crate::{Test, cluster::Cluster};

pub(crate) const TESTS: &[Test] = &[("pod-runs", pod_runs)];

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

/// A pod that says so when it has begun, and waits.
pub(crate) fn pod(name: &str, labels: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{{labels}}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: testbed/split:1
    command: [sh, -c, 'echo begun; exec sleep infinity']
"
    )
}
