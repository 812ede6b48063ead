//! `kubearmor controller`: judges policies before a cluster takes them, and tells in each policy's status what became of it.
//!
//! All replicas answer admission; one of them leads and writes. Agents need no rights on policies for it: they tell
//! what is in force in an object of their node, and the controller sums these up.
#![forbid(unsafe_code)]

pub mod admission;
pub mod certificates;
mod follow;
pub mod lease;
pub mod metrics;
mod run;
pub mod serve;
pub mod status;
pub mod violations;
pub mod write;

pub use run::{Options, run, run_until};

/// Whose fields the controller's are, in objects that others write to as well.
const FIELD_MANAGER: &str = "kubearmor-controller";
/// What events say they come from.
const COMPONENT: &str = "kubearmor-controller";
