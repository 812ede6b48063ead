//! A container and how its runtime's labels name it.

use std::{collections::BTreeMap, path::PathBuf};

use ruleset::{CONTAINER_NAMESPACE, Workload, WorkloadKind};
use serde::{Deserialize, Serialize};

use crate::{cgroup, root::RootPlace};

/// Labels that may name a container, best first. Those of Kubernetes are the kubelet's word; ours may stand on an image or
/// in a pod, and must not give a pod's container another identity.
const NAME_LABELS: [&str; 3] =
    ["io.kubernetes.container.name", "kubearmor.io/container.name", "nerdctl/name"];
const NAMESPACE_LABELS: [&str; 2] = ["io.kubernetes.pod.namespace", "kubearmor.io/namespace"];
const POD_LABEL: &str = "io.kubernetes.pod.name";

/// Label keys that runtimes and this product keep for themselves; users neither see nor select them.
const RESERVED: [&str; 8] = [
    "kubearmor.io/",
    "io.kubernetes.",
    "io.containerd.",
    "containerd.io/",
    "io.cri-containerd.",
    "nerdctl/",
    "com.docker/",
    "io.podman.",
];

/// A container whose first process exists; its program may not have been executed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// The runtime's full id.
    pub id: String,
    pub name: String,
    pub namespace: String,
    /// Empty outside Kubernetes.
    pub pod: String,
    /// The labels that users wrote.
    pub labels: BTreeMap<String, String>,
    pub image: String,
    /// The first process, as the host numbers it.
    pub pid: u32,
    /// The cgroup directory under the host's cgroup mount.
    pub cgroup: PathBuf,
    /// Containerd's own namespace (`default`, `k8s.io`, `moby`, ...).
    pub runtime_namespace: String,
    /// Where the runtime prepares the root filesystem, if the container was told before its first process moved there.
    pub prepared_root: Option<PathBuf>,
}

impl Container {
    /// Reads the identity out of what the runtime says.
    pub(crate) fn new(
        id: String,
        image: String,
        mut labels: BTreeMap<String, String>,
        runtime_namespace: String,
        pid: u32,
        cgroup: PathBuf,
    ) -> Self {
        let first = |keys: &[&str]| {
            keys.iter().filter_map(|&key| labels.get(key)).find(|value| !value.is_empty()).cloned()
        };
        let name = first(&NAME_LABELS).unwrap_or_else(|| id.clone());
        let namespace = first(&NAMESPACE_LABELS).unwrap_or_else(|| CONTAINER_NAMESPACE.to_owned());
        let pod = first(&[POD_LABEL]).unwrap_or_default();
        labels.retain(|key, _| !RESERVED.iter().any(|prefix| key.starts_with(prefix)));
        let prepared_root = None;
        Self {
            id,
            name,
            namespace,
            pod,
            labels,
            image,
            pid,
            cgroup,
            runtime_namespace,
            prepared_root,
        }
    }

    /// Takes the runtime's own name for it where no label names it.
    pub(crate) fn called(&mut self, name: &str) {
        if self.name == self.id && !name.is_empty() {
            name.clone_into(&mut self.name);
        }
    }

    /// Whether both tell of the same life of one container.
    pub fn is_same_life(&self, other: &Self) -> bool {
        (&self.id, self.pid, &self.cgroup) == (&other.id, other.pid, &other.cgroup)
    }

    /// Whether its first process is still in its control group.
    pub fn is_there(&self) -> bool {
        cgroup::holds(&self.cgroup, self.pid).unwrap_or(false) && !cgroup::is_over(&self.cgroup)
    }

    /// Adds what somebody else knows of the same container. What was told first stands: a pod's labels are not lost
    /// because a source that does not know them speaks later.
    pub fn complete(&mut self, other: &Self) {
        if self.name == self.id {
            self.name.clone_from(&other.name);
        }
        if self.namespace == CONTAINER_NAMESPACE {
            self.namespace.clone_from(&other.namespace);
        }
        for (own, other) in [(&mut self.pod, &other.pod), (&mut self.image, &other.image)] {
            if own.is_empty() {
                own.clone_from(other);
            }
        }
        for (key, value) in &other.labels {
            self.labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }

    /// The part that policies can select.
    pub fn workload(&self) -> Workload {
        Workload {
            kind: WorkloadKind::Container,
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            labels: self.labels.clone(),
        }
    }

    /// Where the container's root filesystem can be reached from the host.
    pub fn root(&self) -> RootPlace {
        RootPlace::Container { pid: self.pid, prepared: self.prepared_root.clone() }
    }
}

/// What happened to the containers of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadEvent {
    /// The first process exists. Comes again for a known id when the container was started anew.
    Started(Container),
    /// This life of the container of this id has ended; another may have begun.
    Stopped { id: String, pid: u32 },
    /// All containers that existed when the runtime was asked have been told.
    Scanned,
    /// The runtime does not answer, so there may be containers that nobody told of. Once per outage.
    RuntimeAway,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(labels: &[(&str, &str)]) -> Container {
        let labels = labels.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        Container::new("c0ffee".into(), "img".into(), labels, "default".into(), 7, "/x".into())
    }

    #[test]
    fn a_container_without_labels_goes_by_its_id() {
        let found = container(&[]);
        assert_eq!(
            (found.name.as_str(), found.namespace.as_str()),
            ("c0ffee", CONTAINER_NAMESPACE)
        );
        assert_eq!(found.pod, "");
    }

    #[test]
    fn a_pods_container_has_the_identity_that_kubernetes_gives_it() {
        let forged = container(&[
            ("kubearmor.io/container.name", "other"),
            ("kubearmor.io/namespace", "kube-system"),
            ("io.kubernetes.container.name", "web"),
            ("io.kubernetes.pod.namespace", "shop"),
            ("io.kubernetes.pod.name", "web-1"),
            ("containerd.io/restart.status", "running"),
            ("app", "web"),
        ]);
        assert_eq!((forged.name.as_str(), forged.namespace.as_str()), ("web", "shop"));
        assert_eq!(forged.pod, "web-1");
        assert_eq!(forged.labels.into_iter().collect::<Vec<_>>(), [("app".into(), "web".into())]);
    }

    #[test]
    fn outside_kubernetes_our_own_labels_name_a_container() {
        let found = container(&[
            ("kubearmor.io/container.name", "web"),
            ("kubearmor.io/namespace", "shop"),
            ("nerdctl/name", "other"),
        ]);
        assert_eq!((found.name.as_str(), found.namespace.as_str()), ("web", "shop"));
    }

    #[test]
    fn what_was_told_first_stands_and_what_is_missing_is_added() {
        let mut known = container(&[("io.kubernetes.pod.namespace", "shop"), ("app", "web")]);
        let other = container(&[
            ("io.kubernetes.pod.namespace", "elsewhere"),
            ("io.kubernetes.container.name", "main"),
            ("io.kubernetes.pod.name", "web-1"),
            ("app", "db"),
            ("tier", "front"),
        ]);
        assert!(known.is_same_life(&other));
        known.complete(&other);
        assert_eq!(
            (known.name.as_str(), known.namespace.as_str(), known.pod.as_str()),
            ("main", "shop", "web-1")
        );
        let labels: Vec<_> = known.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(labels, ["app=web", "tier=front"]);
        assert!(!known.is_same_life(&Container { pid: 8, ..known.clone() }));
    }

    #[test]
    fn docker_names_what_containerd_has_told_of_already() {
        let moby = container(&[("com.docker/engine.bundle.path", "/run/x")]);
        let mut known = Container { image: String::new(), ..moby };
        let mut dockers = container(&[("app", "web")]);
        dockers.called("shop");
        assert!(known.is_same_life(&dockers));
        known.complete(&dockers);
        assert_eq!((known.name.as_str(), known.image.as_str()), ("shop", "img"));
        assert_eq!(known.labels.into_iter().collect::<Vec<_>>(), [("app".into(), "web".into())]);
    }

    #[test]
    fn an_empty_label_names_nothing() {
        assert_eq!(container(&[("kubearmor.io/container.name", "")]).name, "c0ffee");
    }
}
