//! `kubearmor operator`: keeps a cluster's installation as its `KubeArmorConfig` wants it, and `kubearmor snitch`, which looks
//! at a node for it.
//!
//! What is to be applied is worked out by `plan`, without the cluster; `run` watches and applies.
#![forbid(unsafe_code)]

mod certificates;
mod plan;
mod run;
pub mod snitch;
mod watched;

pub use run::{Options, run};

/// Whose fields the operator's are in objects.
const FIELD_MANAGER: &str = "kubearmor-operator";
