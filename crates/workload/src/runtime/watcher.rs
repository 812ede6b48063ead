//! Follows runtimes for as long as the agent runs.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc::Sender, watch},
    time::{Instant, sleep, timeout, timeout_at},
};
use tracing::{debug, info, warn};

use super::{
    Change, Description, Kind, Peer, Runtime, RuntimeError, Sighting,
    census::{Census, Standing},
    error::chain,
};
use crate::{
    cgroup::{self, CgroupError},
    container::{Container, WorkloadEvent},
    containerd, cri, docker, podman,
};

/// What a runtime has to say something, lest the agent waited for one that hangs.
pub(super) const ANSWER: Duration = Duration::from_secs(20);
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(5);
/// How often it is looked whether a runtime has come that was not there.
const LOOK: Duration = Duration::from_secs(1);

/// Runtimes do not all say when a subscription stands, so what started while it was made shows in a second scan.
const SECOND_SCAN: Duration = Duration::from_secs(1);
const LATER_SCANS: Duration = Duration::from_mins(1);

pub(super) type FindCgroup = fn(u32, Option<&str>) -> Result<PathBuf, CgroupError>;

/// By socket, the runtimes that answer: `containerd://1.7.24`.
pub type Followed = BTreeMap<PathBuf, String>;

/// Tells `events` about the containers of all these runtimes until its receiver is gone, and `followed` which of them
/// answer. Reconnects for ever, with growing pauses; an outage is logged once, and so is its end. A runtime that is not
/// there is taken up when it comes.
pub fn follow(
    runtimes: Vec<Runtime>,
    events: &Sender<WorkloadEvent>,
    followed: &watch::Sender<Followed>,
) {
    let census = Arc::new(Mutex::new(Census::new(runtimes.len())));
    for (number, runtime) in runtimes.into_iter().enumerate() {
        let kind = runtime.kind;
        let watcher = Watcher {
            runtime,
            number,
            census: Arc::clone(&census),
            events: events.clone(),
            followed: followed.clone(),
            known: BTreeMap::new(),
            find_cgroup: cgroup::directory,
            patience: ANSWER,
        };
        match kind {
            Kind::Containerd => drop(tokio::spawn(watcher.run::<containerd::Client>())),
            Kind::Docker | Kind::Podman => drop(tokio::spawn(watcher.run::<docker::Client>())),
            Kind::PodmanStorage => drop(tokio::spawn(watcher.run::<podman::Storage>())),
            Kind::Cri => drop(tokio::spawn(watcher.run::<cri::Client>())),
        }
    }
}

pub(super) struct Watcher {
    pub(super) runtime: Runtime,
    pub(super) number: usize,
    pub(super) census: Arc<Mutex<Census>>,
    pub(super) events: Sender<WorkloadEvent>,
    pub(super) followed: watch::Sender<Followed>,
    /// By id, what has been told.
    pub(super) known: BTreeMap<String, Container>,
    pub(super) find_cgroup: FindCgroup,
    /// Until a runtime that says nothing counts as away.
    pub(super) patience: Duration,
}

impl Watcher {
    pub(super) async fn run<P: Peer>(mut self) {
        let mut pause = FIRST_RETRY;
        let mut told = String::new();
        loop {
            if !self.runtime.expected && !self.runtime.socket.exists() {
                if self.stands(Standing::Absent).await.is_err() {
                    return;
                }
                sleep(LOOK).await;
                continue;
            }
            let started = Instant::now();
            let error = match self.session::<P>(&mut told).await {
                Err(RuntimeError::Receiver) => return,
                Err(error) => error,
                Ok(never) => match never {},
            };
            self.followed.send_if_modified(|all| all.remove(&self.runtime.socket).is_some());
            if started.elapsed() > LAST_RETRY {
                pause = FIRST_RETRY;
            }
            let text = chain(&error);
            if text != told {
                let kind = self.runtime.kind;
                warn!("{kind}: {text}; its containers are not seen until it answers (retrying)");
                told = text;
                if self.stands(Standing::Away).await.is_err() {
                    return;
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_RETRY);
        }
    }

    /// One connection, for as long as it lasts.
    async fn session<P: Peer>(
        &mut self,
        told: &mut String,
    ) -> Result<std::convert::Infallible, RuntimeError> {
        let socket = self.runtime.socket.clone();
        let (mut peer, version) = within(self.patience, async {
            let mut peer = P::connect(&socket).await?;
            let version = peer.version().await?;
            peer.subscribe().await?;
            Ok((peer, version))
        })
        .await?;
        self.scan(&mut peer).await?;
        let kind = self.runtime.kind;
        info!("following containers of {kind} {version} at {}", socket.display());
        told.clear();
        // From now on somebody misses it.
        self.runtime.expected = true;
        let name = format!("{kind}://{}", version.trim_start_matches('v'));
        self.followed.send_if_modified(|all| all.insert(socket, name.clone()) != Some(name));

        let mut next_scan = Instant::now() + SECOND_SCAN;
        loop {
            match timeout_at(next_scan, peer.next()).await {
                Ok(change) => self.changed(&mut peer, change?).await?,
                Err(_elapsed) => {
                    self.scan(&mut peer).await?;
                    next_scan = Instant::now() + LATER_SCANS;
                }
            }
        }
    }

    /// Compares what runs with what has been told, and tells the difference.
    async fn scan(&mut self, peer: &mut impl Peer) -> Result<(), RuntimeError> {
        let mut gone: Vec<_> = self.known.keys().cloned().collect();
        for sighting in within(self.patience, peer.running()).await? {
            gone.retain(|known| *known != sighting.id);
            self.sighted(peer, &sighting).await?;
        }
        for id in gone {
            self.stopped(id).await?;
        }
        self.stands(Standing::Told).await
    }

    async fn changed(&mut self, peer: &mut impl Peer, change: Change) -> Result<(), RuntimeError> {
        match change {
            Change::Exists(sighting) => self.sighted(peer, &sighting).await,
            Change::Gone { id, pid: Some(pid) } => {
                // News of an earlier life ends nothing.
                if self.known.get(&id).is_some_and(|known| known.pid == pid) {
                    self.stopped(id).await?;
                }
                Ok(())
            }
            Change::Gone { id, pid: None } => {
                let sighting = Sighting { id: id.clone(), ..Sighting::default() };
                match peer.describe(&sighting).await? {
                    Some(description) => self.started(sighting, description).await,
                    // The runtime may not have had time to say, and the end may be that of an earlier life.
                    None if self.known.get(&id).is_some_and(Container::is_there) => Ok(()),
                    None => self.stopped(id).await,
                }
            }
            Change::Any => self.scan(peer).await,
        }
    }

    async fn sighted(
        &mut self,
        peer: &mut impl Peer,
        sighting: &Sighting,
    ) -> Result<(), RuntimeError> {
        if sighting.pid.is_some() && self.pid_of(&sighting.id) == sighting.pid {
            return Ok(());
        }
        match peer.describe(sighting).await? {
            Some(description) => self.started(sighting.clone(), description).await,
            None => Ok(()),
        }
    }

    fn pid_of(&self, id: &str) -> Option<u32> {
        self.known.get(id).map(|known| known.pid)
    }

    async fn started(
        &mut self,
        sighting: Sighting,
        description: Description,
    ) -> Result<(), RuntimeError> {
        let Sighting { namespace, id, .. } = sighting;
        let Description { pid, name, image, labels, cgroups_path } = description;
        if self.pid_of(&id) == Some(pid) {
            return Ok(());
        }
        let cgroup = match (self.find_cgroup)(pid, cgroups_path.as_deref()) {
            Ok(cgroup) => cgroup,
            Err(error @ CgroupError::Process { .. }) => {
                debug!("container {id} ended before it could be looked at: {error}");
                return Ok(());
            }
            Err(error) => {
                warn!("container {id} cannot be protected: {error}");
                return Ok(());
            }
        };
        let mut container = Container::new(id.clone(), image, labels, namespace, pid, cgroup);
        container.called(&name);
        self.known.insert(id, container.clone());
        self.tell(WorkloadEvent::Started(container)).await
    }

    async fn stopped(&mut self, id: String) -> Result<(), RuntimeError> {
        let Some(known) = self.known.remove(&id) else { return Ok(()) };
        self.tell(WorkloadEvent::Stopped { id, pid: known.pid }).await
    }

    async fn stands(&self, standing: Standing) -> Result<(), RuntimeError> {
        let event = {
            let mut census = self.census.lock().unwrap_or_else(PoisonError::into_inner);
            census.note(self.number, standing)
        };
        match event {
            Some(event) => self.tell(event).await,
            // A watcher that has nothing to tell ends as well.
            None if self.events.is_closed() => Err(RuntimeError::Receiver),
            None => Ok(()),
        }
    }

    async fn tell(&self, event: WorkloadEvent) -> Result<(), RuntimeError> {
        self.events.send(event).await.map_err(|_closed| RuntimeError::Receiver)
    }
}

async fn within<T>(
    time: Duration,
    asked: impl Future<Output = Result<T, RuntimeError>>,
) -> Result<T, RuntimeError> {
    let too_late = |_| {
        let reason = format!("no answer within {} s", time.as_secs());
        RuntimeError::call("asking what runs")(&reason)
    };
    timeout(time, asked).await.map_err(too_late)?
}
