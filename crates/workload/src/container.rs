//! A container and how its runtime's labels name it.

use std::{collections::BTreeMap, path::PathBuf};

use ruleset::{CONTAINER_NAMESPACE, Workload, WorkloadKind};

/// Labels that may name a container, best first.
const NAME_LABELS: [&str; 3] =
    ["kubearmor.io/container.name", "io.kubernetes.container.name", "nerdctl/name"];
const NAMESPACE_LABELS: [&str; 2] = ["kubearmor.io/namespace", "io.kubernetes.pod.namespace"];
const POD_LABEL: &str = "io.kubernetes.pod.name";

/// Label keys that runtimes and this product keep for themselves; users neither see nor select them.
const RESERVED: [&str; 6] = [
    "kubearmor.io/",
    "io.kubernetes.",
    "io.containerd.",
    "containerd.io/",
    "io.cri-containerd.",
    "nerdctl/",
];

/// A container whose first process exists; its program may not have been executed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        Self { id, name, namespace, pod, labels, image, pid, cgroup, runtime_namespace }
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
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.pid))
    }
}

/// What happened to the containers of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadEvent {
    /// The first process exists. Comes again for a known id when the container was started anew.
    Started(Container),
    /// The container of this id has ended.
    Stopped(String),
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
    fn own_labels_come_before_those_of_kubernetes_and_are_not_shown() {
        let found = container(&[
            ("kubearmor.io/container.name", "web"),
            ("io.kubernetes.container.name", "other"),
            ("io.kubernetes.pod.namespace", "shop"),
            ("io.kubernetes.pod.name", "web-1"),
            ("containerd.io/restart.status", "running"),
            ("app", "web"),
        ]);
        assert_eq!((found.name.as_str(), found.namespace.as_str()), ("web", "shop"));
        assert_eq!(found.pod, "web-1");
        assert_eq!(found.labels.into_iter().collect::<Vec<_>>(), [("app".into(), "web".into())]);
    }

    #[test]
    fn an_empty_label_names_nothing() {
        assert_eq!(container(&[("kubearmor.io/container.name", "")]).name, "c0ffee");
    }
}
