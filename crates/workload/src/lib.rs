//! What runs on this node: containers as their runtimes know them, the host itself, and what the symbolic links of a
//! container's root filesystem mean for rules.
//!
//! This crate reads; it never enforces and never decides which policy concerns whom.
#![forbid(unsafe_code)]

mod appearing;
mod cgroup;
mod container;
mod containerd;
mod cri;
mod docker;
mod governor;
pub mod hook;
mod host;
mod links;
mod newcomer;
pub mod nri;
pub mod oci;
mod own_place;
mod podman;
mod root;
mod runtime;

pub use appearing::Appearing;
pub use cgroup::{is_over, read_hostile_process};
pub use container::{Container, WorkloadEvent};
pub use containerd::{
    DEFAULT_SOCKET as CONTAINERD_SOCKET, read_hostile as read_hostile_containerd,
};
pub use governor::{Governor, Way};
pub use host::{HOSTNAME_LABEL, host};
pub use links::{Budget, resolve_links, resolve_links_within};
pub use newcomer::{Newcomer, NewcomerError, is_listed};
pub use own_place::OwnPlace;
pub use root::{Resolved, Root, RootPlace};
pub use runtime::{Followed, Kind, Runtime, RuntimeError, follow, known};
