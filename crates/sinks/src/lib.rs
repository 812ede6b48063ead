//! Where events go beside the feed: to collectors, search engines, brokers and log servers, without losing count.
//!
//! This crate owns everything between an event as a line of JSON and a peer that has taken it: one task per sink with a
//! bounded queue, batches, retries, a spool on disk, and an account in which
//! `received = delivered + waiting + spooled + dropped` holds at every moment. What goes over the wire is made by the pure
//! functions of `encode`; `peer` carries it. It knows neither the kernel nor gRPC.
//!
//! ```text
//! Sinks::offer -> queue -> worker -> peer
//!                   |        ^
//!                   +> spool +     while the peer is away, or the queue is half full
//! ```
#![forbid(unsafe_code)]

mod account;
mod config;
mod encode;
mod event;
mod outlet;
mod peer;
mod queue;
mod retry;
mod seldom;
mod sinks;
mod spool;
mod tls;
mod worker;

pub use account::{DropReason, Drops, SinkAccount};
pub use config::{ConfigError, SinkConfig, SinkList, Stream, from_environment};
pub use outlet::Tell;
pub use sinks::Sinks;
