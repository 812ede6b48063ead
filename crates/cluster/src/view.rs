//! What is known of the cluster on this node, and what follows from it for a container. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use ruleset::{Posture, Postures};
use serde::{Deserialize, Serialize};

use crate::{
    owner::Owner,
    watch::{Change, Told},
};

const VISIBILITY: &str = "kubearmor-visibility";
const POLICY: &str = "kubearmor-policy";
/// The existing implementation never enforces in these pods, whatever their annotation says.
const SYSTEM_NAMESPACE: &str = "kube-system";
const CILIUM_LABEL: &str = "io.cilium/app";

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    pub name: String,
    /// Those that begin with `kubearmor-`.
    pub annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    /// By which runtimes' labels may call it: its object's, and the kubelet's for a static pod.
    pub uids: Vec<String>,
    /// Without those that tell revisions apart.
    pub labels: BTreeMap<String, String>,
    /// Its annotation `kubearmor-policy`.
    pub policy: Option<String>,
    pub owner: Owner,
    /// Names by ids, init and ephemeral ones among them, as far as the kubelet has told.
    pub containers: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub name: String,
    pub uid: String,
    pub labels: BTreeMap<String, String>,
    /// Those that begin with `kubearmor-`.
    pub annotations: BTreeMap<String, String>,
}

/// How far policies hold for a workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    #[default]
    Enforced,
    /// What would be denied is permitted and raises an alert.
    Audited,
    /// No policy holds.
    Disabled,
}

/// What the annotations of a namespace ask for. `None`: as the configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of programs as well.
    pub file: Option<Posture>,
    pub network: Option<Posture>,
    pub capabilities: Option<Posture>,
}

impl Wanted {
    /// The configuration's postures with these in their place.
    pub fn over(&self, defaults: Postures) -> Postures {
        Postures {
            process: self.file.unwrap_or(defaults.process),
            file: self.file.unwrap_or(defaults.file),
            network: self.network.unwrap_or(defaults.network),
            capabilities: self.capabilities.unwrap_or(defaults.capabilities),
        }
    }
}

/// Whom a change concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concerned {
    pub namespaces: BTreeSet<String>,
    /// Namespace and name.
    pub pods: BTreeSet<(String, String)>,
    pub node: bool,
}

impl Concerned {
    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty() && self.pods.is_empty() && !self.node
    }

    /// Whether a container of this pod may be another than before. One whose pod nobody named may be any.
    pub fn is_of(&self, namespace: &str, pod: &str) -> bool {
        self.namespaces.contains(namespace)
            || self.pods.contains(&(namespace.to_owned(), pod.to_owned()))
            || (pod.is_empty() && !self.pods.is_empty())
    }
}

/// What is known of the cluster. Serialised it is what a restart begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct View {
    namespaces: BTreeMap<String, Namespace>,
    /// By namespace, then by name.
    pods: BTreeMap<String, BTreeMap<String, Pod>>,
    node: Option<Node>,
    /// The keys of the agent's `ConfigMap`.
    configuration: BTreeMap<String, String>,
}

impl View {
    /// Takes over what has changed; policies are not its business.
    pub fn learn(&mut self, change: Change) -> Concerned {
        let mut concerned = Concerned::default();
        match change {
            Change::Policies(..) => {}
            Change::Namespaces(told) => self.learn_namespaces(told, &mut concerned),
            Change::Pods(told) => self.learn_pods(told, &mut concerned),
            Change::Node(node) => {
                concerned.node = self.node.as_ref() != Some(&node);
                self.node = Some(node);
            }
            Change::Configuration(keys) => self.configuration = keys,
        }
        concerned
    }

    fn learn_namespaces(&mut self, told: Told<Namespace>, concerned: &mut Concerned) {
        match told {
            Told::All(namespaces) => {
                let now: BTreeMap<_, _> =
                    namespaces.into_iter().map(|one| (one.name.clone(), one)).collect();
                let names = self.namespaces.keys().chain(now.keys());
                concerned.namespaces = names
                    .filter(|name| self.namespaces.get(*name) != now.get(*name))
                    .cloned()
                    .collect();
                self.namespaces = now;
            }
            Told::One(namespace) => {
                if self.namespaces.get(&namespace.name) != Some(&namespace) {
                    concerned.namespaces.insert(namespace.name.clone());
                    self.namespaces.insert(namespace.name.clone(), namespace);
                }
            }
            Told::Gone(namespace) => {
                if self.namespaces.remove(&namespace.name).is_some() {
                    concerned.namespaces.insert(namespace.name);
                }
            }
        }
    }

    fn learn_pods(&mut self, told: Told<Pod>, concerned: &mut Concerned) {
        let key = |pod: &Pod| (pod.namespace.clone(), pod.name.clone());
        match told {
            Told::All(pods) => {
                let mut now: BTreeMap<String, BTreeMap<String, Pod>> = BTreeMap::new();
                for pod in pods {
                    now.entry(pod.namespace.clone()).or_default().insert(pod.name.clone(), pod);
                }
                let both = self.pods.values().chain(now.values()).flat_map(BTreeMap::values);
                let known = |pods: &BTreeMap<String, BTreeMap<String, Pod>>, pod: &Pod| {
                    pods.get(&pod.namespace).and_then(|pods| pods.get(&pod.name)) == Some(pod)
                };
                let changed = both.filter(|pod| !known(&self.pods, pod) || !known(&now, pod));
                concerned.pods = changed.map(key).collect();
                self.pods = now;
            }
            Told::One(pod) => {
                let pods = self.pods.entry(pod.namespace.clone()).or_default();
                if pods.get(&pod.name) != Some(&pod) {
                    concerned.pods.insert(key(&pod));
                    pods.insert(pod.name.clone(), pod);
                }
            }
            Told::Gone(pod) => {
                // Its containers may be a moment behind, and keep what was known of them.
                if let Some(pods) = self.pods.get_mut(&pod.namespace) {
                    pods.remove(&pod.name);
                    if pods.is_empty() {
                        self.pods.remove(&pod.namespace);
                    }
                }
            }
        }
    }

    /// The pod of a container, by what runtimes say of it. One of the same name with another number is another pod.
    pub fn pod(&self, namespace: &str, name: &str, uid: &str) -> Option<&Pod> {
        let pod = self.pods.get(namespace)?.get(name)?;
        (uid.is_empty() || pod.uids.is_empty() || pod.uids.iter().any(|known| known == uid))
            .then_some(pod)
    }

    /// The pod of a container of which nothing but the id is known, and the container's name.
    pub fn by_container(&self, id: &str) -> Option<(&Pod, &str)> {
        let pods = self.pods.values().flat_map(BTreeMap::values);
        pods.into_iter().find_map(|pod| Some((pod, pod.containers.get(id)?.as_str())))
    }

    pub fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    pub fn configuration(&self) -> &BTreeMap<String, String> {
        &self.configuration
    }

    /// What the namespace's annotations ask for.
    pub fn wanted(&self, namespace: &str) -> Wanted {
        let posture = |class: &str| {
            let annotations = &self.namespaces.get(namespace)?.annotations;
            posture(annotations.get(&format!("kubearmor-{class}-posture"))?)
        };
        Wanted {
            file: posture("file"),
            network: posture("network"),
            capabilities: posture("capabilities"),
        }
    }

    /// Annotations of a namespace that ask for no posture there is, each with its value.
    pub fn misspelt(&self, namespace: &str) -> Vec<(&str, &str)> {
        let annotations = self.namespaces.get(namespace).map(|namespace| &namespace.annotations);
        let postures =
            annotations.into_iter().flatten().filter(|(key, _)| key.ends_with("-posture"));
        let wrong = postures.filter(|(_, value)| posture(value).is_none());
        wrong.map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    /// The classes of events that the namespace wants to have logged, as a comma list.
    pub fn visibility(&self, namespace: &str) -> Option<&str> {
        self.namespaces.get(namespace)?.annotations.get(VISIBILITY).map(String::as_str)
    }

    /// The same for the node.
    pub fn node_visibility(&self) -> Option<&str> {
        self.node.as_ref()?.annotations.get(VISIBILITY).map(String::as_str)
    }

    pub fn node_mode(&self) -> Mode {
        let node = self.node.as_ref();
        mode(node.and_then(|node| node.annotations.get(POLICY)).map(String::as_str))
    }
}

impl Mode {
    /// How far policies hold in a pod, by its annotation `kubearmor-policy` and what it is.
    pub fn of(
        namespace: &str,
        labels: &BTreeMap<String, String>,
        annotation: Option<&str>,
    ) -> Self {
        let mode = mode(annotation);
        let system = namespace == SYSTEM_NAMESPACE || labels.contains_key(CILIUM_LABEL);
        if system { mode.max(Self::Audited) } else { mode }
    }
}

/// A missing or unknown word is `enabled`.
fn mode(annotation: Option<&str>) -> Mode {
    match annotation.map(str::trim) {
        Some("audited") => Mode::Audited,
        Some("disabled") => Mode::Disabled,
        _ => Mode::Enforced,
    }
}

fn posture(text: &str) -> Option<Posture> {
    match text.trim().to_ascii_lowercase().as_str() {
        "allow" => Some(Posture::Allow),
        "audit" => Some(Posture::Audit),
        "block" => Some(Posture::Block),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
