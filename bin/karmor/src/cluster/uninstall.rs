//! `karmor uninstall`: takes away what an installation has brought, by its labels.

use anstream::println;
use cluster::apply;
use kube::Client;
use manifests::{Object, labels};
use serde_json::json;

use super::{advised, progress};
use crate::command::Cluster;

/// In the order in which they go: first who would bring the others back.
const INSIDE: [(&str, &str); 12] = [
    ("operator.kubearmor.com/v1", "KubeArmorConfig"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("policy/v1", "PodDisruptionBudget"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "ServiceAccount"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("coordination.k8s.io/v1", "Lease"),
];
const EVERYWHERE: [(&str, &str); 4] = [
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ("security.kubearmor.com/v1", "KubeArmorClusterPolicy"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
];

#[derive(Debug, clap::Args)]
pub(crate) struct UninstallOptions {
    #[command(flatten)]
    cluster: Cluster,
    /// The namespace of the installation
    #[arg(short, long, default_value = "kubearmor", value_name = "NAME")]
    namespace: String,
    /// The definitions as well, and with them all policies of the cluster
    #[arg(long)]
    force: bool,
    /// Print one JSON object for each object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: &UninstallOptions) -> anyhow::Result<()> {
    let client = options.cluster.client().await?;
    let mut removed = 0;
    let inside = INSIDE.map(|(version, kind)| (version, kind, Some(options.namespace.as_str())));
    let everywhere = EVERYWHERE.map(|(version, kind)| (version, kind, None));
    for (version, kind, namespace) in inside.into_iter().chain(everywhere) {
        removed += remove(&client, version, kind, namespace, options).await?;
    }
    if options.force {
        let (version, kind) = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");
        removed += remove(&client, version, kind, None, options).await?;
    }
    if removed == 0 {
        progress(&format!("nothing is installed in namespace {}", options.namespace));
    } else if !options.force {
        progress("policies and their definitions are still there; --force removes them as well");
    }
    Ok(())
}

async fn remove(
    client: &Client,
    version: &str,
    kind: &str,
    namespace: Option<&str>,
    options: &UninstallOptions,
) -> anyhow::Result<usize> {
    let ours = format!("{}={}", labels::PART_OF, labels::PRODUCT);
    let there = apply::labelled(client, version, kind, namespace, &ours)
        .await
        .map_err(|error| advised(&error))?;
    let mut removed = 0;
    for object in there.iter().filter(|object| belongs(object, &options.namespace)) {
        if apply::delete(client, object).await.map_err(|error| advised(&error))? {
            let called = apply::called(object);
            if options.json {
                println!("{}", json!({"object": called, "state": "removed"}));
            } else {
                progress(&format!("{called}: removed"));
            }
            removed += 1;
        }
    }
    Ok(removed)
}

/// Roles that are bound to another installation's accounts are not ours to take.
fn belongs(object: &Object, namespace: &str) -> bool {
    let subjects = object["subjects"].as_array().into_iter().flatten();
    subjects.into_iter().all(|subject| subject["namespace"] == namespace)
}

#[cfg(test)]
mod tests {
    use manifests::{Installation, KubeArmorConfigSpec, RecommendedPolicies};

    use super::*;

    /// What an installation brings is found again by its kind and its label.
    #[test]
    fn everything_that_was_installed_goes() {
        let installation = Installation::default();
        let spec = KubeArmorConfigSpec {
            recommended_policies: RecommendedPolicies {
                enable: true,
                ..RecommendedPolicies::default()
            },
            ..KubeArmorConfigSpec::default()
        };
        let mut objects = manifests::base(&installation, manifests::crds());
        objects.extend(manifests::components(&installation, &spec));
        objects.push(manifests::operator(&installation));
        objects.push(manifests::agent(&installation, &spec, None));
        objects.push(manifests::snitch(&installation, &spec, "n", "b", "r"));
        objects.push(manifests::default_config(&installation, &spec));
        let known: Vec<&str> = INSIDE.iter().chain(&EVERYWHERE).map(|(_, kind)| *kind).collect();
        for object in &objects {
            let kind = object["kind"].as_str().unwrap();
            assert!(
                known.contains(&kind) || ["Namespace", "CustomResourceDefinition"].contains(&kind),
                "{kind}"
            );
            assert_eq!(object["metadata"]["labels"][labels::PART_OF], labels::PRODUCT, "{kind}");
        }
    }

    #[test]
    fn what_is_bound_to_another_namespace_stays() {
        let binding = json!({"subjects": [{"kind": "ServiceAccount", "namespace": "other"}]});
        assert!(!belongs(&binding, "kubearmor"));
        assert!(belongs(&binding, "other") && belongs(&json!({}), "kubearmor"));
    }
}
