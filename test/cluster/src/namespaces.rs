//! Namespaces: those that come after a policy, and their postures.

use anyhow::Result;

use crate::{
    Test,
    cluster::Cluster,
    manifest::{closes_in, pod},
};

pub(crate) const TESTS: &[Test] = &[
    ("namespace-younger-than-the-policy", younger_than_the_policy),
    ("posture-of-a-namespace", posture_of_a_namespace),
    ("posture-of-the-configuration", posture_of_the_configuration),
];

fn younger_than_the_policy(cluster: &Cluster) -> Result<()> {
    let younger = format!("{}-2", cluster.namespace());
    let policy = cluster.namespace();
    cluster.apply(&closes_in(policy, &younger, "/etc/passwd"))?;
    cluster.in_namespace(&younger, |cluster| {
        cluster.apply(&pod("web", "app: web"))?;
        cluster.await_pods("app=web")?;
        cluster.await_closed("web", "/etc/passwd")
    })?;
    cluster.kubectl(&["delete", "kubearmorclusterpolicy", policy]).map(drop)
}

/// An allow-list of the pod's own programs and files, with what no rule names left to the posture.
const ALLOWS: &str = "apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: allowed}
spec:
  selector: {matchLabels: {app: web}}
  file:
    matchDirectories:
    - {dir: /lib/, recursive: true}
    - {dir: /lib64/, recursive: true}
    - {dir: /bin/, recursive: true}
    - {dir: /usr/, recursive: true}
    - {dir: /dev/, recursive: true}
    - {dir: /proc/, recursive: true}
    matchPaths: [{path: /etc/group}]
  action: Allow
";

fn posture_of_a_namespace(cluster: &Cluster) -> Result<()> {
    cluster.apply(&pod("web", "app: web"))?;
    cluster.await_pods("app=web")?;
    cluster.apply(ALLOWS)?;
    let annotate = |posture: &str| {
        let posture = format!("kubearmor-file-posture={posture}");
        let namespace = cluster.namespace();
        cluster.kubectl(&["annotate", "--overwrite", "namespace", namespace, &posture])
    };
    annotate("block")?;
    cluster.await_closed("web", "/etc/passwd")?;
    cluster.expect_open("web", "/etc/group")?;
    annotate("audit")?;
    cluster.await_open("web", "/etc/passwd")?;
    annotate("block")?;
    cluster.await_closed("web", "/etc/passwd")
}

fn posture_of_the_configuration(cluster: &Cluster) -> Result<()> {
    cluster.apply(&pod("web", "app: web"))?;
    cluster.await_pods("app=web")?;
    cluster.apply(ALLOWS)?;
    let configure = |posture: &str| {
        let patch = format!("{{\"data\": {{\"defaultFilePosture\": \"{posture}\"}}}}");
        let map = "configmap/kubearmor-config";
        cluster.kubectl(&["-n", "kubearmor", "patch", map, "--type=merge", "-p", &patch])
    };
    cluster.await_open("web", "/etc/passwd")?;
    configure("block")?;
    let closed = cluster.await_closed("web", "/etc/passwd");
    configure("audit")?;
    closed?;
    cluster.await_open("web", "/etc/passwd")
}
