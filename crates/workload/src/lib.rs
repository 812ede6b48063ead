//! What runs on this node: containers as the runtime knows them, the host itself, and what the symbolic links of a
//! container's root filesystem mean for rules.
//!
//! This crate reads; it never enforces and never decides which policy concerns whom.
#![forbid(unsafe_code)]

mod appearing;
mod cgroup;
mod container;
pub mod containerd;
mod governor;
pub mod hook;
mod host;
mod links;
mod newcomer;
pub mod nri;
pub mod oci;
mod root;

pub use appearing::Appearing;
pub use cgroup::is_over;
pub use container::{Container, WorkloadEvent};
pub use governor::{Governor, Way};
pub use host::{HOSTNAME_LABEL, host};
pub use links::{Budget, resolve_links, resolve_links_within};
pub use newcomer::{Newcomer, NewcomerError, is_listed};
pub use root::{Resolved, Root, RootPlace};
