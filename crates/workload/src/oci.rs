//! What a runtime hands to its hooks: the container's state on standard input, its specification in the bundle.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{newcomer::Newcomer, podman};

/// The state of a container, as the runtime specification defines it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct State {
    pub id: String,
    pub status: Status,
    /// Zero once the container has stopped.
    #[serde(default)]
    pub pid: u32,
    pub bundle: PathBuf,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Creating,
    Created,
    Running,
    Stopped,
}

/// The part of a bundle's `config.json` that tells where things are.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Specification {
    root: Option<SpecificationRoot>,
    linux: SpecificationLinux,
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct SpecificationRoot {
    path: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SpecificationLinux {
    cgroups_path: Option<String>,
}

/// Why what a runtime handed over cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    #[error(
        "the state on standard input cannot be read: {0}; it is for a runtime to call this program as a hook"
    )]
    State(#[source] serde_json::Error),
    #[error("{} cannot be read: {source}", path.display())]
    Specification {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
}

impl State {
    /// Reads what a runtime writes to a hook's standard input.
    pub fn read(text: &[u8]) -> Result<Self, OciError> {
        serde_json::from_slice(text).map_err(OciError::State)
    }

    /// Where the bundle's specification is.
    pub fn specification(&self) -> PathBuf {
        self.bundle.join("config.json")
    }

    /// What there is to tell of the container; `specification` is the text of [`State::specification`].
    pub fn newcomer(self, specification: &[u8]) -> Result<Newcomer, OciError> {
        let text: Specification = serde_json::from_slice(specification)
            .map_err(|source| OciError::Specification { path: self.specification(), source })?;
        let mut newcomer = Newcomer {
            prepared_root: text.root.map(|root| self.bundle.join(root.path)),
            cgroups_path: text.linux.cgroups_path,
            runtime_namespace: containerd_namespace(&self.bundle),
            podman_storage: podman_storage(&self.bundle),
            id: self.id,
            pid: self.pid,
            ..Newcomer::default()
        };
        newcomer.annotated(&self.annotations);
        newcomer.annotated(&text.annotations);
        Ok(newcomer)
    }
}

/// Containerd keeps bundles in `.../io.containerd.runtime.v2.task/NAMESPACE/ID`.
fn containerd_namespace(bundle: &Path) -> String {
    let mut parts = bundle.iter().rev().skip(1);
    match (parts.next(), parts.next()) {
        (Some(namespace), Some(tasks)) if tasks == "io.containerd.runtime.v2.task" => {
            namespace.to_string_lossy().into_owned()
        }
        _ => String::new(),
    }
}

/// Podman keeps bundles in `STORAGE/DRIVER-containers/ID/userdata`, and so does CRI-O, which has no such database there.
fn podman_storage(bundle: &Path) -> Option<PathBuf> {
    let containers = bundle.parent()?.parent()?;
    let is_podmans = bundle.file_name()? == "userdata"
        && containers.file_name()?.to_str()?.ends_with("-containers");
    let storage = is_podmans.then(|| containers.parent()).flatten()?;
    podman::database(storage).exists().then(|| storage.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = r#"{"ociVersion": "1.0.2", "id": "c0ffee", "status": "creating", "pid": 42,
        "bundle": "/run/containerd/io.containerd.runtime.v2.task/k8s.io/c0ffee",
        "annotations": {"io.kubernetes.cri.container-name": "main"}}"#;

    #[test]
    fn a_state_and_its_specification_make_a_newcomer() {
        let state = State::read(STATE.as_bytes()).unwrap();
        assert_eq!(state.status, Status::Creating);
        let bundle = state.bundle.clone();
        let text = r#"{"root": {"path": "rootfs"}, "process": {"args": ["x"]},
            "linux": {"cgroupsPath": "/k8s.io/c0ffee"},
            "annotations": {"io.kubernetes.cri.sandbox-namespace": "shop"}}"#;
        let newcomer = state.newcomer(text.as_bytes()).unwrap();
        assert_eq!((newcomer.id.as_str(), newcomer.pid), ("c0ffee", 42));
        assert_eq!(newcomer.prepared_root, Some(bundle.join("rootfs")));
        assert_eq!(newcomer.cgroups_path.as_deref(), Some("/k8s.io/c0ffee"));
        assert_eq!(newcomer.runtime_namespace, "k8s.io");
        assert_eq!(newcomer.labels["io.kubernetes.container.name"], "main");
        assert_eq!(newcomer.namespace(), "shop");
    }

    #[test]
    fn an_absolute_root_and_a_bare_specification() {
        let state = State::read(STATE.as_bytes()).unwrap();
        let bare = state.clone().newcomer(b"{}").unwrap();
        assert_eq!((bare.prepared_root, bare.cgroups_path), (None, None));
        let newcomer = state.newcomer(br#"{"root": {"path": "/srv/root"}}"#).unwrap();
        assert_eq!(newcomer.prepared_root, Some("/srv/root".into()));
    }

    #[test]
    fn the_state_of_a_stopped_container_needs_no_process() {
        let state = State::read(br#"{"id": "a", "status": "stopped", "bundle": "/b"}"#).unwrap();
        assert_eq!((state.status, state.pid), (Status::Stopped, 0));
    }

    #[test]
    fn a_malformed_state_is_an_error() {
        for text in
            ["", "{}", "[]", r#"{"id": 1}"#, &STATE.replace("creating", "odd"), &STATE[..60]]
        {
            assert!(State::read(text.as_bytes()).is_err(), "{text}");
        }
        let state = State::read(&STATE.replace("42", "-1").into_bytes());
        assert!(state.is_err(), "a process number is not negative");
        let state = State::read(STATE.as_bytes()).unwrap();
        assert!(state.newcomer(b"{\"root\": 1}").unwrap_err().to_string().contains("config.json"));
    }
}
