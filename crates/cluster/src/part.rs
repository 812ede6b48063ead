//! The parts of objects that are read at all: what is not named here is never kept, so that a node full of pods takes
//! little memory.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1 as core, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde::Deserialize;

use crate::{
    owner::Owner,
    view::{Namespace, Node, Pod},
};

/// Of the annotations of an object, ours.
const OURS: &str = "kubearmor-";
const POLICY: &str = "kubearmor-policy";
/// What the kubelet knows a static pod by; the object in the API mirrors it under another number:
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-config-hash>.
const STATIC_HASH: &str = "kubernetes.io/config.hash";
/// They tell revisions apart and are no identity, as in the existing implementation.
const OF_REVISIONS: [&str; 3] =
    ["pod-template-hash", "pod-template-generation", "controller-revision-hash"];

#[derive(Clone, Debug, Deserialize, kube::Resource)]
#[resource(inherit = core::Pod)]
pub(crate) struct PodPart {
    metadata: ObjectMeta,
    #[serde(default)]
    status: StatusPart,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct StatusPart {
    #[serde(rename = "initContainerStatuses")]
    init: Option<Vec<ContainerPart>>,
    #[serde(rename = "containerStatuses")]
    main: Option<Vec<ContainerPart>>,
    #[serde(rename = "ephemeralContainerStatuses")]
    ephemeral: Option<Vec<ContainerPart>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerPart {
    name: String,
    #[serde(rename = "containerID")]
    container_id: Option<String>,
}

impl PodPart {
    /// `None` for an object that names nothing.
    pub(crate) fn pod(self) -> Option<Pod> {
        let Self { metadata, status } = self;
        let labels = metadata.labels.clone().unwrap_or_default();
        let owner = Owner::of_pod(&metadata, &labels);
        let annotations = metadata.annotations.unwrap_or_default();
        let statuses = [status.init, status.main, status.ephemeral];
        let containers = statuses.into_iter().flatten().flatten().filter_map(|container| {
            // `containerd://ID`
            let id = container.container_id?;
            let id = id.split_once("://").map_or(id.as_str(), |(_, id)| id);
            (!id.is_empty()).then(|| (id.to_owned(), container.name))
        });
        Some(Pod {
            namespace: metadata.namespace?,
            name: metadata.name?,
            uids: metadata.uid.into_iter().chain(annotations.get(STATIC_HASH).cloned()).collect(),
            policy: annotations.get(POLICY).cloned(),
            labels: identity(labels),
            owner,
            containers: containers.collect(),
        })
    }
}

fn identity(mut labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    labels.retain(|key, _| !OF_REVISIONS.contains(&key.as_str()));
    labels
}

fn ours(annotations: Option<BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let mut annotations = annotations.unwrap_or_default();
    annotations.retain(|key, _| key.starts_with(OURS));
    annotations
}

pub(crate) fn namespace(metadata: ObjectMeta) -> Option<Namespace> {
    Some(Namespace { name: metadata.name?, annotations: ours(metadata.annotations) })
}

pub(crate) fn node(metadata: ObjectMeta) -> Option<Node> {
    Some(Node {
        name: metadata.name?,
        uid: metadata.uid.unwrap_or_default(),
        labels: metadata.labels.unwrap_or_default(),
        annotations: ours(metadata.annotations),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_read_with_all_its_containers_and_without_what_nobody_asks_for() {
        let object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "namespace": "shop", "name": "web-6d4-x", "uid": "u1",
                "labels": {"app": "web", "pod-template-hash": "6d4"},
                "annotations": {"kubearmor-policy": "audited", "kubernetes.io/config.hash": "h1"},
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-6d4", "uid": "u2",
                    "controller": true,
                }],
            },
            "spec": {"nodeName": "n1", "containers": [{"name": "main"}]},
            "status": {
                "initContainerStatuses": [{"name": "setup", "containerID": "containerd://a"}],
                "containerStatuses": [{"name": "main", "containerID": "cri-o://b"}, {"name": "new"}],
                "ephemeralContainerStatuses": [{"name": "debug", "containerID": "containerd://c"}],
            },
        });
        let pod = serde_json::from_value::<PodPart>(object).unwrap().pod().unwrap();
        assert_eq!((pod.namespace.as_str(), pod.name.as_str()), ("shop", "web-6d4-x"));
        assert_eq!(pod.uids, ["u1", "h1"]);
        assert_eq!(pod.policy.as_deref(), Some("audited"));
        assert_eq!(pod.labels.into_iter().collect::<Vec<_>>(), [("app".into(), "web".into())]);
        assert_eq!((pod.owner.kind.as_str(), pod.owner.name.as_str()), ("Deployment", "web"));
        let containers: Vec<_> =
            pod.containers.iter().map(|(id, name)| format!("{id} {name}")).collect();
        assert_eq!(containers, ["a setup", "b main", "c debug"]);
    }

    #[test]
    fn a_pod_of_which_nothing_runs_yet_is_known() {
        let bound = json!({"metadata": {"namespace": "shop", "name": "web", "uid": "u1"}});
        let pod = serde_json::from_value::<PodPart>(bound).unwrap().pod().unwrap();
        assert!(pod.containers.is_empty());
        assert_eq!(pod.owner.kind, "Pod");
    }
}
