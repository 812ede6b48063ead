//! What the Kubernetes API server holds of our concern, and how it is spoken with.
//!
//! `watch` follows it and sends changes in order; `view` is what they add up to, `policies` reads the policies among them
//! as `lint` does; `report` writes the one thing that an agent has to say, its `summary`. Only `client`, `watch` and
//! `report` speak with anybody.
#![forbid(unsafe_code)]

pub mod apply;
mod client;
mod owner;
mod part;
mod policies;
mod report;
pub mod summary;
mod view;
mod watch;

pub use client::{Place, Unreachable, connect};
pub use kube::Client;
pub use owner::Owner;
pub use policies::PolicyObject;
pub use report::Report;
pub use view::{Concerned, Mode, Namespace, Node, Pod, View, Wanted};
pub use watch::{CONFIGURATION, Change, Told, watch};
