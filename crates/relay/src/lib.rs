//! The relay: what all agents of a cluster tell, at one place.
//!
//! This crate finds the agents, holds one connection to each, and hands what comes to a [`feed::Feed`], which serves it to
//! clients by the same code as an agent does. It owns the accounts of each node, in which `received = delivered + lost`, and
//! the decision which of several replicas puts a node's events out to sinks and to the log file.
//!
//! ```text
//! pods | list -> reconcile -> pull, one per agent -> fan_in -> feed -> clients, history
//!                                                       |
//!                                                       +> outlets -> sinks, log file     of one replica alone
//! ```
//!
//! There is no queue of its own between an agent and the feed: what comes is handed on before the next is read. If that
//! takes long, the window of the one connection fills, then the queue that its agent keeps for this client, whose shares
//! and counts are the agent's; nobody else waits for it.
#![forbid(unsafe_code)]

mod account;
mod agents;
mod dial;
mod fan_in;
mod held;
mod leases;
mod outlets;
mod pause;
mod pods;
mod pull;
mod relay;
mod replicas;

pub use agents::{Agent, AgentsError, listed};
pub use dial::Security;
pub use leases::Replica;
pub use outlets::Lines;
pub use pods::Pods;
pub use relay::{Discovery, Options, Relay};
