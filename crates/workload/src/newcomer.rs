//! A container that is about to start, in the words of whoever starts it.
//!
//! A runtime hook and NRI tell of it before its first program runs. What they leave out, such as labels, containerd may
//! know.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use ruleset::CONTAINER_NAMESPACE;
use serde::{Deserialize, Serialize};

use crate::{
    cgroup::{self, CgroupError},
    container::Container,
    containerd, podman,
    runtime::RuntimeError,
};

/// Longer than the id of any runtime.
const LONGEST_ID: usize = 1024;

const HOSTS_FIRST_PROCESS: u32 = 1;

/// Annotations of a runtime specification that say what elsewhere a label says.
const ANNOTATIONS: [(&str, &str); 9] = [
    ("kubearmor.io/container.name", "kubearmor.io/container.name"),
    ("kubearmor.io/namespace", "kubearmor.io/namespace"),
    ("io.kubernetes.container.name", "io.kubernetes.container.name"),
    ("io.kubernetes.cri.container-name", "io.kubernetes.container.name"),
    ("io.kubernetes.pod.name", "io.kubernetes.pod.name"),
    ("io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"),
    ("io.kubernetes.pod.namespace", "io.kubernetes.pod.namespace"),
    ("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"),
    ("nerdctl/name", "nerdctl/name"),
];
const IMAGE_ANNOTATIONS: [&str; 2] =
    ["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"];
const POD_ANNOTATION: &str = "io.kubernetes.cri.sandbox-id";
/// CRI-O keeps the labels of pod and container there, as JSON.
const LABELS_ANNOTATION: &str = "io.kubernetes.cri-o.Labels";

/// What is told of a container whose first process exists and waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Newcomer {
    /// The runtime's full id.
    pub id: String,
    /// The first process, as the host numbers it.
    pub pid: u32,
    /// Labels as runtimes keep them, their own among them.
    pub labels: BTreeMap<String, String>,
    pub image: String,
    /// The specification's `cgroupsPath`.
    pub cgroups_path: Option<String>,
    /// Where the runtime prepares the root filesystem, while the first process has not moved there yet.
    pub prepared_root: Option<PathBuf>,
    /// Containerd's namespace, as far as it is known.
    pub runtime_namespace: String,
    /// Containerd's container that stands for its pod.
    pub pod_id: Option<String>,
    /// The storage of the Podman that starts it.
    pub podman_storage: Option<PathBuf>,
    /// The runtime's own name for it; empty where labels name it.
    pub name: String,
    /// Whoever told of it knows its labels and those of its pod.
    #[serde(skip)]
    pub labels_known: bool,
}

/// Why a container that is told of cannot be governed.
#[derive(Debug, thiserror::Error)]
pub enum NewcomerError {
    #[error("`{0}` is no id of a container")]
    Id(String),
    #[error("container {id} has no process yet; ask once it is created")]
    NoProcess { id: String },
    #[error("container {id}: {reason}")]
    Cgroup { id: String, reason: String },
    #[error(
        "container {id} is in the control group {} together with others; give it one of its own (`cgroupsPath`)",
        cgroup.display()
    )]
    Shared { id: String, cgroup: PathBuf },
}

impl Newcomer {
    /// Takes over what a specification's annotations say: names, the image, labels.
    pub(crate) fn annotated(&mut self, annotations: &BTreeMap<String, String>) {
        for (annotation, label) in ANNOTATIONS {
            if let Some(value) = annotations.get(annotation) {
                self.labels.entry(label.to_owned()).or_insert_with(|| value.clone());
            }
        }
        let labels = annotations.get(LABELS_ANNOTATION);
        let labels = labels.and_then(|text| serde_json::from_str::<BTreeMap<_, _>>(text).ok());
        for (key, value) in labels.into_iter().flatten() {
            self.labels.entry(key).or_insert(value);
        }
        if let Some(pod) = annotations.get(POD_ANNOTATION) {
            self.pod_id.get_or_insert_with(|| pod.clone());
        }
        if self.image.is_empty() {
            let image = IMAGE_ANNOTATIONS.iter().find_map(|key| annotations.get(*key));
            self.image = image.cloned().unwrap_or_default();
        }
    }

    /// Its namespace in Kubernetes, or the one of all containers outside.
    pub fn namespace(&self) -> String {
        let Self { id, image, labels, .. } = self.clone();
        let container = Container::new(id, image, labels, String::new(), 0, PathBuf::new());
        container.namespace
    }

    /// Finds its control group, which exists since the first process does.
    pub fn container(self) -> Result<Container, NewcomerError> {
        let cgroup = self.cgroup()?;
        Ok(self.placed_in(cgroup))
    }

    /// Adds what the runtime that starts it keeps of it: Podman's database, or the first of these sockets of containerd at
    /// which it is known. Fails if the runtime should know it and does not answer.
    pub async fn complete(&mut self, containerd: &[PathBuf]) -> Result<(), RuntimeError> {
        if let Some(storage) = self.podman_storage.clone() {
            return podman::complete(&storage, self).await;
        }
        let mut failed = None;
        for socket in containerd {
            match containerd::complete(socket, self).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    pub(crate) fn cgroup(&self) -> Result<PathBuf, NewcomerError> {
        self.check()?;
        let cgroup = cgroup::directory(self.pid, self.cgroups_path.as_deref());
        let cgroup = cgroup.map_err(|error| self.without_cgroup(&error))?;
        self.check_apart(&cgroup, HOSTS_FIRST_PROCESS)?;
        Ok(cgroup)
    }

    /// Refuses a control group in which that process is as well: rules would reach far beyond the container.
    pub(crate) fn check_apart(&self, cgroup: &Path, other: u32) -> Result<(), NewcomerError> {
        if cgroup::holds(cgroup, other).map_err(|error| self.without_cgroup(&error))? {
            return Err(NewcomerError::Shared { id: self.id.clone(), cgroup: cgroup.to_owned() });
        }
        Ok(())
    }

    fn check(&self) -> Result<(), NewcomerError> {
        let sound = |c: char| c.is_ascii_graphic() && c != '/';
        if self.id.is_empty() || self.id.len() > LONGEST_ID || !self.id.chars().all(sound) {
            return Err(NewcomerError::Id(self.id.chars().take(80).collect()));
        }
        if self.pid == 0 {
            return Err(NewcomerError::NoProcess { id: self.id.clone() });
        }
        Ok(())
    }

    fn without_cgroup(&self, error: &CgroupError) -> NewcomerError {
        NewcomerError::Cgroup { id: self.id.clone(), reason: error.to_string() }
    }

    pub(crate) fn placed_in(self, cgroup: PathBuf) -> Container {
        let Self { id, pid, labels, image, prepared_root, runtime_namespace, name, .. } = self;
        let mut container = Container::new(id, image, labels, runtime_namespace, pid, cgroup);
        container.called(&name);
        Container { prepared_root, ..container }
    }
}

/// Whether a namespace is one of a comma list.
pub fn is_listed(namespace: &str, list: &str) -> bool {
    namespace != CONTAINER_NAMESPACE && list.split(',').any(|listed| listed.trim() == namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotated(annotations: &[(&str, &str)]) -> Newcomer {
        let annotations = annotations.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        let mut newcomer = Newcomer { id: "c0ffee".into(), pid: 7, ..Newcomer::default() };
        newcomer.annotated(&annotations);
        newcomer
    }

    #[test]
    fn the_annotations_of_each_runtime_name_a_container() {
        let containerd = annotated(&[
            ("io.kubernetes.cri.container-name", "main"),
            ("io.kubernetes.cri.sandbox-name", "web-1"),
            ("io.kubernetes.cri.sandbox-namespace", "shop"),
            ("io.kubernetes.cri.image-name", "web:1"),
        ]);
        let crio = annotated(&[
            ("io.kubernetes.container.name", "main"),
            ("io.kubernetes.pod.name", "web-1"),
            ("io.kubernetes.pod.namespace", "shop"),
            ("io.kubernetes.cri-o.ImageName", "web:1"),
            ("io.kubernetes.cri-o.Labels", r#"{"app":"web"}"#),
            ("other", "is no label"),
        ]);
        for (newcomer, labels) in [(containerd, 0), (crio, 1)] {
            assert_eq!(newcomer.namespace(), "shop");
            let container = newcomer.placed_in("/x".into());
            let names = (container.name.as_str(), container.namespace.as_str());
            assert_eq!(names, ("main", "shop"));
            assert_eq!((container.pod.as_str(), container.image.as_str()), ("web-1", "web:1"));
            assert_eq!(container.labels.len(), labels);
        }
    }

    #[test]
    fn what_cannot_be_a_container_is_refused() {
        let told = |id: &str, pid| Newcomer { id: id.into(), pid, ..Newcomer::default() };
        for id in ["", "a/b", "a b", "a\n", &"x".repeat(LONGEST_ID + 1)] {
            assert!(matches!(told(id, 7).container(), Err(NewcomerError::Id(_))), "{id:?}");
        }
        assert!(matches!(told("a", 0).container(), Err(NewcomerError::NoProcess { .. })));
        let gone = told("a", i32::MAX.unsigned_abs()).container();
        assert!(matches!(gone, Err(NewcomerError::Cgroup { .. })), "{gone:?}");
    }

    #[test]
    fn containers_outside_kubernetes_are_in_no_listed_namespace() {
        assert!(is_listed("kube-system", "kube-system, kubearmor"));
        assert!(is_listed("kubearmor", "kube-system, kubearmor"));
        assert!(!is_listed("shop", "kube-system"));
        assert!(!is_listed(CONTAINER_NAMESPACE, CONTAINER_NAMESPACE));
    }
}
