//! Where what all agents tell comes together: counted for its node, then handed to everybody at once.

use std::sync::{Arc, atomic::Ordering};

use feed::{Feed, Level, Relayed};
use telemetry::Delivery;

use crate::{
    account::{Accounts, NodeAccount, place},
    outlets::Outlets,
};

/// The common end of all connections.
pub(crate) struct FanIn {
    pub(crate) feed: Feed,
    pub(crate) outlets: Arc<Outlets>,
    pub(crate) accounts: Accounts,
}

/// The near end of one agent's connection.
pub(crate) struct Origin {
    node: Arc<str>,
    fan: Arc<FanIn>,
    account: Arc<NodeAccount>,
}

impl Origin {
    pub(crate) fn new(node: &str, fan: &Arc<FanIn>) -> Self {
        Self { node: node.into(), fan: Arc::clone(fan), account: fan.accounts.of(node) }
    }

    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Never waits. Names of clusters and nodes in it stay as they came.
    pub(crate) fn hand_on(&self, item: Relayed) {
        let stream = place(&item);
        self.account.came(&item);
        let put_out = self.fan.outlets.put_out(&self.node, &item);
        let passed_on = self.fan.feed.pass_on(item);
        let delivery = match (put_out, passed_on) {
            (Delivery::Complete, Delivery::Complete) => Delivery::Complete,
            _ => Delivery::Incomplete,
        };
        self.account.handed_on(stream, delivery);
    }

    pub(crate) fn missed(&self, stream: usize, count: u64) {
        self.account.missed(stream, count);
    }

    /// Counts a connection as long as the value lives.
    pub(crate) fn connected(&self) -> Connected {
        self.account.connections.fetch_add(1, Ordering::Relaxed);
        Connected(Arc::clone(&self.account))
    }

    pub(crate) fn broken(&self) {
        self.account.breaks.fetch_add(1, Ordering::Relaxed);
    }

    /// A message of the relay's own, for all who watch messages.
    pub(crate) fn tell(&self, level: Level, text: &str) {
        match level {
            Level::Info | Level::Debug => tracing::info!("{text}"),
            Level::Warn | Level::Error => tracing::warn!("{text}"),
        }
        self.fan.feed.publish_message(level, text);
    }
}

/// A connection that stands.
pub(crate) struct Connected(Arc<NodeAccount>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
