//! From a kernel record to what an operator reads: [`Alert`] and [`Log`], throttled and counted exactly.
//!
//! This crate owns attribution (who, what, where, by which rule), the table of running programs, throttling and
//! the accounts. It asks the running system only through [`System`], so that every behaviour shows in a unit test.
#![forbid(unsafe_code)]

mod account;
mod attribution;
mod event;
mod log;
mod names;
mod preset;
mod program;
mod reporter;
mod tally;
mod throttle;

pub use account::{Account, AccountKey, Counts};
pub use attribution::{
    ContainerIdentity, Node, Occurrence, Subject, System, shown_time, unix_seconds,
};
pub use event::{Alert, ExecEvent, Log, Owner};
pub use program::Program;
pub use reporter::{Delivery, Memory, Reporter, Settings, Sink, Suppressed};
pub use tally::{FieldCounts, OTHER, Series};
pub use throttle::Limit;

/// `KubeArmorVersion` of alerts.
pub const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));
