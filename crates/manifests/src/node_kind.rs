//! What sort of node one is, as its labels say: nodes of one kind have one set of agents.

use std::collections::BTreeMap;

use crate::labels;

/// What snitch found out about a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a label of its own")]
pub struct NodeFacts {
    /// `bpf`, `apparmor`, `selinux` or `none`.
    pub enforcer: String,
    /// `containerd`, `docker`, `podman`, `cri-o`, or `none`.
    pub runtime: String,
    pub socket: Option<String>,
    pub nri_socket: Option<String>,
    pub btf: bool,
    pub apparmor_fs: bool,
    pub security_fs: bool,
    pub seccomp: bool,
}

impl NodeFacts {
    /// As labels of the node.
    pub fn labels(&self) -> BTreeMap<&'static str, String> {
        let told = |there: bool| if there { "yes" } else { "no" }.to_owned();
        let mut labels = BTreeMap::from([
            (labels::ENFORCER, self.enforcer.clone()),
            (labels::RUNTIME, self.runtime.clone()),
            (labels::BTF, told(self.btf)),
            (labels::APPARMOR_FS, told(self.apparmor_fs)),
            (labels::SECURITY_FS, told(self.security_fs)),
            (labels::SECCOMP, told(self.seccomp)),
        ]);
        for (label, socket) in
            [(labels::SOCKET, &self.socket), (labels::NRI_SOCKET, &self.nri_socket)]
        {
            labels
                .extend(socket.as_deref().and_then(SocketLabel::of).map(|value| (label, value.0)));
        }
        labels
    }
}

/// A path as the value of a label: `run_containerd_containerd.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketLabel(pub String);

impl SocketLabel {
    /// `None` for a path that no label can hold, or that could not be told from another one.
    pub fn of(path: &str) -> Option<Self> {
        let inner = path.strip_prefix('/')?;
        let fits = inner.len() <= 63
            && inner.starts_with(|c: char| c.is_ascii_alphanumeric())
            && inner.ends_with(|c: char| c.is_ascii_alphanumeric())
            && inner.chars().all(|c| c.is_ascii_alphanumeric() || "/.-".contains(c));
        fits.then(|| Self(inner.replace('/', "_")))
    }

    pub fn path(&self) -> String {
        format!("/{}", self.0.replace('_', "/"))
    }
}

/// Nodes that the same set of agents serves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeKind {
    pub enforcer: String,
    pub runtime: String,
    /// As the label has it.
    pub socket: Option<String>,
    pub btf: bool,
    pub security_fs: bool,
}

impl NodeKind {
    /// `None` until snitch has looked at the node, and for nodes without Linux.
    pub fn of(node: &BTreeMap<String, String>) -> Option<Self> {
        if node.get("kubernetes.io/os").is_some_and(|os| os != "linux") {
            return None;
        }
        let yes = |label: &str| node.get(label).is_some_and(|value| value == "yes");
        Some(Self {
            enforcer: node.get(labels::ENFORCER)?.clone(),
            runtime: node.get(labels::RUNTIME)?.clone(),
            socket: node.get(labels::SOCKET).cloned(),
            btf: yes(labels::BTF),
            security_fs: yes(labels::SECURITY_FS),
        })
    }

    /// Of its set of agents: `kubearmor-bpf-containerd-1a2b3`.
    pub fn name(&self) -> String {
        let selector: Vec<String> = self
            .node_selector()
            .into_iter()
            .map(|(label, value)| format!("{label}={value}"))
            .collect();
        let sum = format!("{:08x}", crc32fast::hash(selector.join(",").as_bytes()));
        format!("kubearmor-{}-{}-{}", self.enforcer, self.runtime, &sum[..5])
    }

    pub fn node_selector(&self) -> BTreeMap<String, String> {
        let told = |there: bool| if there { "yes" } else { "no" }.to_owned();
        let mut selector = BTreeMap::from([
            ("kubernetes.io/os".to_owned(), "linux".to_owned()),
            (labels::ENFORCER.to_owned(), self.enforcer.clone()),
            (labels::RUNTIME.to_owned(), self.runtime.clone()),
            (labels::BTF.to_owned(), told(self.btf)),
            (labels::SECURITY_FS.to_owned(), told(self.security_fs)),
        ]);
        selector.extend(self.socket.clone().map(|socket| (labels::SOCKET.to_owned(), socket)));
        selector
    }

    /// The directory of the runtime's socket, where that is not below `/run`, which agents see in any case.
    pub fn socket_directory(&self) -> Option<String> {
        let path = SocketLabel(self.socket.clone()?).path();
        let (directory, _) = path.rsplit_once('/')?;
        let below_run = ["/run", "/var/run"]
            .iter()
            .any(|run| format!("{directory}/").starts_with(&format!("{run}/")));
        (!below_run && !directory.is_empty()).then(|| directory.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels_of(facts: &NodeFacts) -> BTreeMap<String, String> {
        facts.labels().into_iter().map(|(label, value)| (label.to_owned(), value)).collect()
    }

    fn facts() -> NodeFacts {
        NodeFacts {
            enforcer: "bpf".into(),
            runtime: "containerd".into(),
            socket: Some("/run/containerd/containerd.sock".into()),
            nri_socket: Some("/var/run/nri/nri.sock".into()),
            btf: true,
            security_fs: true,
            ..NodeFacts::default()
        }
    }

    #[test]
    fn labels_are_those_of_the_existing_implementation() {
        let labels = facts().labels();
        assert_eq!(labels["kubearmor.io/socket"], "run_containerd_containerd.sock");
        assert_eq!(labels["kubearmor.io/nri-socket"], "var_run_nri_nri.sock");
        assert_eq!((&*labels["kubearmor.io/btf"], &*labels["kubearmor.io/seccomp"]), ("yes", "no"));
        assert!(labels.keys().all(|label| labels::OF_NODES.contains(label)));
    }

    #[test]
    fn equal_nodes_are_one_kind_and_select_themselves() {
        let kind = NodeKind::of(&labels_of(&facts())).unwrap();
        let nri_elsewhere = NodeFacts { nri_socket: None, ..facts() };
        assert_eq!(NodeKind::of(&labels_of(&nri_elsewhere)), Some(kind.clone()));
        let other = NodeFacts { enforcer: "apparmor".into(), ..facts() };
        let other = NodeKind::of(&labels_of(&other)).unwrap();
        assert_ne!(other.name(), kind.name());
        assert!(kind.name().starts_with("kubearmor-bpf-containerd-"), "{}", kind.name());
        assert_eq!(kind.name().len(), "kubearmor-bpf-containerd-".len() + 5);
        let mut node = labels_of(&facts());
        node.insert("kubernetes.io/os".into(), "linux".into());
        for (label, value) in kind.node_selector() {
            assert_eq!(node.get(&label), Some(&value), "{label}");
        }
    }

    #[test]
    fn a_node_that_nobody_has_looked_at_is_of_no_kind() {
        assert_eq!(NodeKind::of(&BTreeMap::new()), None);
        let mut windows = labels_of(&facts());
        windows.insert("kubernetes.io/os".into(), "windows".into());
        assert_eq!(NodeKind::of(&windows), None);
    }

    #[test]
    fn sockets_below_run_need_no_directory_of_their_own() {
        let of = |socket: &str| {
            let facts = NodeFacts { socket: Some(socket.into()), ..facts() };
            NodeKind::of(&labels_of(&facts)).unwrap().socket_directory()
        };
        assert_eq!(of("/run/docker.sock"), None);
        assert_eq!(of("/var/run/crio/crio.sock"), None);
        let microk8s = "/var/snap/microk8s/common/run/containerd.sock";
        assert_eq!(of(microk8s).as_deref(), Some("/var/snap/microk8s/common/run"));
    }

    #[test]
    fn a_path_that_no_label_can_hold_is_none() {
        for path in
            ["", "relative.sock", "/run/a b.sock", "/run/a_b.sock", &format!("/{}", "a".repeat(64))]
        {
            assert_eq!(SocketLabel::of(path), None, "{path}");
        }
    }
}
