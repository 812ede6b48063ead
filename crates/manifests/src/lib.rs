//! What `KubeArmor` consists of in a cluster: one description of all objects, for the operator, `karmor install`, the Helm
//! chart and the plain manifests. Pure: options and nodes in, objects out.
#![forbid(unsafe_code)]

mod config;
pub mod labels;
mod node_kind;
mod objects;
mod recommended;

pub use config::{
    Adapters, Elasticsearch, ElasticsearchAuth, ImageSpec, KubeArmorConfig, KubeArmorConfigSpec,
    KubeArmorConfigStatus, MatchExpression, Phase, RecommendedPolicies, Tls,
};
pub use node_kind::{NodeFacts, NodeKind, SocketLabel};
pub use objects::{
    Installation, OPERATOR_NAME, Object, agent, agent_capabilities, base, components, config_map,
    crds, default_config, operator, secrets, snitch, without_operator,
};
pub use recommended::{POLICIES as RECOMMENDED, policies as recommended};
