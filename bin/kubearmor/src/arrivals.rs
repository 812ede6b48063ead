//! Answers those who ask before a container starts: finds out what it is, and has its rules put in force.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::time::timeout;
use tracing::{debug, error, warn};
use workload::{Container, Governor, Newcomer, Way, hook, nri};

use crate::{
    backend::chain,
    config::Config,
    index::{Gone, Index, IndexHandle},
    told::Told,
    ways::Ways,
};

/// What a runtime has to say what it knows of a container.
const COMPLETION: Duration = Duration::from_secs(1);
/// How often containers are looked for that have ended unheard.
const LOOK_FOR_ENDED: Duration = Duration::from_mins(1);

/// The agent as hooks and NRI see it.
#[derive(Debug)]
pub(crate) struct Arrivals {
    pub(crate) index: IndexHandle,
    /// Where containerd may listen.
    containerd: Vec<PathBuf>,
    pub(crate) ways: Ways,
    /// `None` where nothing can be kept.
    told: Option<Told>,
}

/// Opens the ways by which the agent is asked, the containers that an earlier run was told of being known before.
pub(crate) async fn listen(arrivals: &Arc<Arrivals>, config: &Config) {
    arrivals.remember().await;
    tokio::spawn(forget_ended(Arc::clone(arrivals)));
    let socket = hook::socket(&config.run_dir);
    let hooks = hook::listen(socket.clone(), Arc::clone(arrivals));
    tokio::spawn(async move {
        if let Err(problem) = hooks.await {
            error!("{}: {problem}; no runtime hook gets an answer", socket.display());
        }
    });
    if config.enable_nri {
        let socket = Some(config.nri_socket.trim_start_matches("unix://"));
        let socket = socket.filter(|socket| !socket.is_empty()).map(PathBuf::from);
        tokio::spawn(nri::serve(socket, config.nri_index.clone(), Arc::clone(arrivals)));
    }
}

/// Looks for containers whose end nobody tells.
async fn forget_ended(arrivals: Arc<Arrivals>) {
    loop {
        tokio::time::sleep(LOOK_FOR_ENDED).await;
        if arrivals.forget_ended().await.is_err() {
            return;
        }
    }
}

fn told(run_dir: &Path) -> Option<Told> {
    let opened = Told::open(run_dir);
    opened
        .inspect_err(|problem| warn!("{}: containers are not kept: {problem}", run_dir.display()))
        .ok()
}

impl Governor for Arrivals {
    async fn govern(&self, mut newcomer: Newcomer) -> Result<(), String> {
        let id = newcomer.id.clone();
        let is_known_elsewhere =
            !newcomer.runtime_namespace.is_empty() || newcomer.podman_storage.is_some();
        if let Err(problem) = self.complete(&mut newcomer).await {
            if is_known_elsewhere {
                return Err(format!(
                    "its runtime does not tell the labels of container {id}: {problem}"
                ));
            }
            debug!("container {id} is none of containerd's: {problem}");
        }
        let by_hook = !newcomer.labels_known;
        let container = newcomer.container().map_err(|problem| problem.to_string())?;
        if by_hook {
            self.keep(&container);
        }
        let governed = self.index.call(move |index| index.arrived(container)).await;
        let governed = governed.map_err(|gone| gone.to_string()).and_then(|governed| governed);
        if let Err(problem) = &governed {
            warn!("container {id} is about to start: {problem}");
        }
        governed
    }

    async fn ended(&self, id: String) {
        let over = move |index: &mut Index| {
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
        // Fails only while the agent goes down, and then nobody can say so.
        self.index.call(|index| index.may_start_ungoverned()).await.unwrap_or(false)
    }

    fn way(&self, way: Way, open: bool) {
        self.ways.set(way, open);
    }
}

impl Arrivals {
    pub(crate) fn new(config: &Config, containerd: Vec<PathBuf>, index: IndexHandle) -> Self {
        Self { index, containerd, ways: Ways::default(), told: told(&config.run_dir) }
    }

    /// Takes over the containers that hooks have told an earlier run of the agent of.
    async fn remember(&self) {
        let Some(told) = &self.told else { return };
        for container in told.still_there(Container::is_there) {
            // What goes wrong is logged, and fails only while the agent goes down.
            let _ = self.index.call(move |index| drop(index.arrived(container))).await;
        }
    }

    /// Forgets those that only a hook has told of, and starts that failed.
    async fn forget_ended(&self) -> Result<(), Gone> {
        if let Some(told) = &self.told {
            told.still_there(|container| !workload::is_over(&container.cgroup));
        }
        self.index.call(|index| index.forget_ended(workload::is_over)).await
    }

    fn keep(&self, container: &Container) {
        let kept = self.told.as_ref().map_or(Ok(()), |told| told.keep(container));
        if let Err(problem) = kept {
            warn!("the next run of the agent may not know container {}: {problem}", container.id);
        }
    }

    async fn complete(&self, newcomer: &mut Newcomer) -> Result<(), String> {
        if newcomer.labels_known {
            return Ok(());
        }
        let there: Vec<_> = self.containerd.iter().filter(|at| at.exists()).cloned().collect();
        match timeout(COMPLETION, newcomer.complete(&there)).await {
            Ok(completed) => completed.map_err(|error| chain(&error)),
            Err(_elapsed) => Err(format!("no answer within {} s", COMPLETION.as_secs())),
        }
    }
}
