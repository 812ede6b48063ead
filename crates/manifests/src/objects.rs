//! All objects of an installation.

mod agent;
mod controller;
mod operator;
mod pod;
mod rbac;
mod relay;
mod settings;
mod snitch;
#[cfg(test)]
mod tests;

use kube::CustomResourceExt as _;
use serde_json::{Value, json};

pub use self::{
    agent::agent,
    operator::{NAME as OPERATOR_NAME, operator},
    settings::config_map,
    snitch::snitch,
};
use crate::{KubeArmorConfig, KubeArmorConfigSpec, labels, recommended};

/// An object as the API server takes it.
pub type Object = Value;

/// Where and of what an installation is.
#[derive(Clone, Debug)]
pub struct Installation {
    pub namespace: String,
    /// The image with all programs.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub pull_policy: String,
    /// Names of pull secrets.
    pub pull_secrets: Vec<String>,
    /// Whether the operator applies it, and takes away what is no longer wanted.
    pub by_operator: bool,
    /// A reference to what everything goes with when it is deleted, for objects of the namespace.
    pub owner: Option<Value>,
}

impl Default for Installation {
    fn default() -> Self {
        Self {
            namespace: "kubearmor".into(),
            image: concat!("docker.io/kubearmor/kubearmor:", env!("CARGO_PKG_VERSION")).into(),
            pull_policy: "IfNotPresent".into(),
            pull_secrets: Vec::new(),
            by_operator: false,
            owner: None,
        }
    }
}

impl Installation {
    /// The metadata of an object of the namespace.
    fn named(&self, name: &str, app: &str) -> Value {
        let mut metadata = json!({
            "name": name,
            "namespace": self.namespace,
            "labels": {labels::APP: app, labels::PART_OF: labels::PRODUCT},
        });
        if let Some(owner) = &self.owner {
            metadata["ownerReferences"] = json!([owner]);
        }
        if self.by_operator {
            metadata["labels"][labels::MANAGED_BY] = json!(labels::BY_OPERATOR);
        }
        metadata
    }
}

/// Metadata of an object without a namespace.
fn cluster_wide(name: &str) -> Value {
    json!({"name": name, "labels": {labels::PART_OF: labels::PRODUCT}})
}

/// The definitions of all kinds, from the files that are written from the description of the language.
pub fn crds() -> Vec<Object> {
    const FILES: [&str; 6] = [
        include_str!("../../../deploy/crds/kubearmorclusterpolicies.yaml"),
        include_str!("../../../deploy/crds/kubearmorconfigs.yaml"),
        include_str!("../../../deploy/crds/kubearmorhostpolicies.yaml"),
        include_str!("../../../deploy/crds/kubearmornetworkpolicies.yaml"),
        include_str!("../../../deploy/crds/kubearmornodes.yaml"),
        include_str!("../../../deploy/crds/kubearmorpolicies.yaml"),
    ];
    FILES.into_iter().filter_map(|file| serde_saphyr::from_str(file).ok()).collect()
}

/// What has to be there before any program runs: the namespace, the definitions, what each program may do, and whom API servers
/// ask.
pub fn base(installation: &Installation, crds: Vec<Object>) -> Vec<Object> {
    let mut objects = vec![json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": installation.namespace,
            "labels": {
                labels::PART_OF: labels::PRODUCT,
                // Agents need the host's processes and files.
                "pod-security.kubernetes.io/enforce": "privileged",
            },
        },
    })];
    objects.extend(crds.into_iter().map(marked));
    objects.extend(rbac::all(installation));
    objects.push(controller::webhook(installation));
    objects
}

/// With the label that tells the installation's own.
fn marked(mut object: Object) -> Object {
    object["metadata"]["labels"][labels::PART_OF] = json!(labels::PRODUCT);
    object
}

/// The configuration that an installation begins with.
pub fn default_config(installation: &Installation, spec: &KubeArmorConfigSpec) -> Object {
    let mut wanted = serde_json::to_value(spec).unwrap_or_default();
    without_empty(&mut wanted);
    json!({
        "apiVersion": KubeArmorConfig::api_resource().api_version,
        "kind": "KubeArmorConfig",
        "metadata": {
            "name": labels::CONFIG_NAME,
            "namespace": installation.namespace,
            "labels": {labels::PART_OF: labels::PRODUCT},
        },
        "spec": wanted,
    })
}

/// Leaves out what says nothing.
fn without_empty(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.values_mut().for_each(without_empty);
        fields.retain(|_, value| match value {
            Value::Object(fields) => !fields.is_empty(),
            Value::Array(entries) => !entries.is_empty(),
            Value::String(text) => !text.is_empty(),
            Value::Bool(told) => *told,
            _ => true,
        });
    }
}

/// Everything that the operator applies, apart from agents and secrets.
pub fn components(installation: &Installation, spec: &KubeArmorConfigSpec) -> Vec<Object> {
    let mut objects = vec![config_map(installation, spec)];
    objects.extend(relay::all(installation, spec));
    objects.extend(controller::all(installation, spec));
    objects.extend(recommended::wanted(installation, &spec.recommended_policies));
    objects
}

/// An installation that nobody looks after: one set of agents for nodes of every kind.
pub fn without_operator(installation: &Installation, crds: Vec<Object>) -> Vec<Object> {
    let spec = KubeArmorConfigSpec::default();
    let mut objects = base(installation, crds);
    objects.retain(|object| object["metadata"]["name"] != OPERATOR_NAME);
    objects.extend(components(installation, &spec));
    objects.push(agent(installation, &spec, None));
    objects
}

/// Capabilities of agents, each with what it is for.
pub fn agent_capabilities() -> &'static [(&'static str, &'static str)] {
    &agent::CAPABILITIES
}

/// Names of the secrets that the operator issues, with TLS.
pub fn secrets() -> [&'static str; 4] {
    [labels::CA_SECRET, labels::CLIENT_SECRET, labels::RELAY_SECRET, labels::AGENT_SECRET]
}
