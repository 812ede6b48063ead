//! What the agent tells Prometheus: the index and the accounts at the moment of the question.

mod events;
mod node;

use std::sync::Arc;

use feed::metrics::{Families, Source};
use sensor::{Capabilities, Loaded};

use crate::{events::Accounts, index::IndexHandle, submissions::Answers};

/// Reads from those who own what it tells.
pub(crate) struct Agent {
    pub(crate) index: IndexHandle,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) answers: Arc<Answers>,
    pub(crate) capabilities: Capabilities,
    pub(crate) loaded: Loaded,
}

#[feed::async_trait]
impl Source for Agent {
    async fn collect(&self, families: &mut Families) {
        node::offered(families, &self.capabilities, &self.loaded);
        // Fails only while the agent goes down.
        let Ok(overview) = self.index.call(|index| index.overview()).await else { return };
        let (series, published) = self.accounts.counted();
        events::counted(families, &series);
        events::published(families, &published);
        events::delays(families, &self.accounts.delays);
        node::policies(families, &overview, &self.answers);
        node::in_use(families, &overview);
    }
}

#[cfg(test)]
mod tests;
