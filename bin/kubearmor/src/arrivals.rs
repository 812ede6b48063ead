//! Answers those who ask before a container starts: finds out what it is, and has its rules put in force.

use std::{path::PathBuf, time::Duration};

use tokio::time::timeout;
use tracing::{debug, warn};
use workload::{Governor, Newcomer, Way};

use crate::{backend::chain, index::IndexHandle, ways::Ways};

/// What containerd has to say what it knows of a container.
const COMPLETION: Duration = Duration::from_secs(1);

/// The agent as hooks and NRI see it.
#[derive(Debug)]
pub(crate) struct Arrivals {
    pub(crate) index: IndexHandle,
    pub(crate) containerd: PathBuf,
    pub(crate) ways: Ways,
}

impl Governor for Arrivals {
    async fn govern(&self, mut newcomer: Newcomer) -> Result<(), String> {
        let id = newcomer.id.clone();
        let is_containerds = !newcomer.runtime_namespace.is_empty();
        if let Err(problem) = self.complete(&mut newcomer).await {
            if is_containerds {
                return Err(format!(
                    "containerd does not tell the labels of container {id}: {problem}"
                ));
            }
            debug!("container {id} is none of containerd's: {problem}");
        }
        let container = newcomer.container().map_err(|problem| problem.to_string())?;
        let governed = self.index.call(move |index| index.arrived(container)).await;
        let governed = governed.map_err(|gone| gone.to_string()).and_then(|governed| governed);
        if let Err(problem) = &governed {
            warn!("container {id} is about to start: {problem}");
        }
        governed
    }

    async fn ended(&self, id: String) {
        let over = move |index: &mut crate::index::Index| {
            index.stopped(&id, |life| workload::is_over(&life.cgroup));
        };
        // Fails only while the agent goes down.
        let _ = self.index.call(over).await;
    }

    async fn container_of(&self, cgroup: PathBuf) -> Option<String> {
        let found = self.index.call(move |index| index.container_of(&cgroup).map(str::to_owned));
        found.await.ok().flatten()
    }

    async fn may_start_ungoverned(&self) -> bool {
        // Fails only while the agent goes down.
        self.index.call(|index| index.may_start_ungoverned()).await.unwrap_or(true)
    }

    fn way(&self, way: Way, open: bool) {
        self.ways.set(way, open);
    }
}

impl Arrivals {
    async fn complete(&self, newcomer: &mut Newcomer) -> Result<(), String> {
        if newcomer.labels_known {
            return Ok(());
        }
        let completed = workload::containerd::complete(&self.containerd, newcomer);
        match timeout(COMPLETION, completed).await {
            Ok(completed) => completed.map_err(|error| chain(&error)),
            Err(_elapsed) => Err(format!("no answer within {} s", COMPLETION.as_secs())),
        }
    }
}
