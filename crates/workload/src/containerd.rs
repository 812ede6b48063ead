//! Finds containers through containerd: a scan, then its event stream, then a scan again whenever the stream broke.
//!
//! All of containerd's own namespaces are watched. A container counts from the moment its task is *created*, which is
//! before its program is executed.

mod api;
mod client;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    sync::mpsc::Sender,
    time::{Instant, sleep, timeout_at},
};
use tokio_stream::StreamExt;
use tracing::{debug, info, warn};

pub use self::client::read_hostile;
use self::client::{Client, TaskEvent};
use crate::{
    cgroup::{self, CgroupError},
    container::{Container, WorkloadEvent},
    newcomer::Newcomer,
};

/// Where containerd listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/containerd/containerd.sock";

const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// Containerd does not say when a subscription stands, so what started while it was made shows in a second scan.
const SECOND_SCAN: Duration = Duration::from_secs(1);
const LATER_SCANS: Duration = Duration::from_mins(1);

#[derive(Debug, thiserror::Error)]
pub enum ContainerdError {
    #[error("no answer at {socket}")]
    Connect {
        socket: PathBuf,
        #[source]
        source: tonic::transport::Error,
    },
    #[error("{call}: {}", status.message())]
    Call { call: &'static str, status: Box<tonic::Status> },
    #[error("the event stream ended")]
    StreamEnded,
    /// Nobody listens to the watcher any more.
    #[error("the agent is going down")]
    Receiver,
}

type FindCgroup = fn(u32, Option<&str>) -> Result<PathBuf, CgroupError>;

/// Tells `events` about containers until its receiver is gone. Reconnects for ever, with growing pauses; an outage is
/// logged once, and so is its end.
pub async fn watch(socket: PathBuf, events: Sender<WorkloadEvent>) {
    Watcher { socket, events, known: BTreeMap::new(), find_cgroup: cgroup::directory }.run().await;
}

struct Watcher {
    socket: PathBuf,
    events: Sender<WorkloadEvent>,
    /// By id, what has been told.
    known: BTreeMap<String, Container>,
    find_cgroup: FindCgroup,
}

impl Watcher {
    async fn run(mut self) {
        let mut pause = FIRST_RETRY;
        let mut told = String::new();
        loop {
            let started = Instant::now();
            let error = match self.session(&mut told).await {
                Err(ContainerdError::Receiver) => return,
                Err(error) => error,
                Ok(never) => match never {},
            };
            if started.elapsed() > LAST_RETRY {
                pause = FIRST_RETRY;
            }
            let text = error_chain(&error);
            if text != told {
                warn!(
                    "containerd: {text}; containers are not seen until it answers (retrying; \
                     the key `containerdSocket` says where it listens)"
                );
                told = text;
                if self.tell(WorkloadEvent::RuntimeAway).await.is_err() {
                    return;
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_RETRY);
        }
    }

    /// One connection, for as long as it lasts.
    async fn session(
        &mut self,
        told: &mut String,
    ) -> Result<std::convert::Infallible, ContainerdError> {
        let mut client = Client::connect(&self.socket).await?;
        let version = client.version().await?;
        let mut stream = Box::pin(client.subscribe());
        self.scan(&mut client).await?;
        info!("watching containers of containerd {version} at {}", self.socket.display());
        told.clear();

        let mut next_scan = Instant::now() + SECOND_SCAN;
        loop {
            match timeout_at(next_scan, stream.next()).await {
                Ok(Some(event)) => self.heard(&mut client, event?).await?,
                Ok(None) => return Err(ContainerdError::StreamEnded),
                Err(_elapsed) => {
                    self.scan(&mut client).await?;
                    next_scan = Instant::now() + LATER_SCANS;
                }
            }
        }
    }

    /// Compares what runs with what has been told, and tells the difference.
    async fn scan(&mut self, client: &mut Client) -> Result<(), ContainerdError> {
        let mut gone: Vec<_> = self.known.keys().cloned().collect();
        for namespace in client.namespaces().await? {
            for (id, pid) in client.tasks(&namespace).await? {
                gone.retain(|known| *known != id);
                self.started(client, &namespace, &id, pid).await?;
            }
        }
        for id in gone {
            self.stopped(id).await?;
        }
        self.tell(WorkloadEvent::Scanned).await
    }

    async fn heard(
        &mut self,
        client: &mut Client,
        event: TaskEvent,
    ) -> Result<(), ContainerdError> {
        match event {
            TaskEvent::Exists { namespace, id, pid } => {
                self.started(client, &namespace, &id, pid).await
            }
            TaskEvent::Deleted { id } => self.stopped(id).await,
        }
    }

    async fn started(
        &mut self,
        client: &mut Client,
        namespace: &str,
        id: &str,
        pid: u32,
    ) -> Result<(), ContainerdError> {
        if self.known.get(id).is_some_and(|known| known.pid == pid) {
            return Ok(());
        }
        let Some(record) = client.container(namespace, id).await? else { return Ok(()) };
        let cgroup = match (self.find_cgroup)(pid, record.cgroups_path.as_deref()) {
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
        let container = Container::new(
            id.to_owned(),
            record.image,
            record.labels,
            namespace.to_owned(),
            pid,
            cgroup,
        );
        self.known.insert(id.to_owned(), container.clone());
        self.tell(WorkloadEvent::Started(container)).await
    }

    async fn stopped(&mut self, id: String) -> Result<(), ContainerdError> {
        let Some(known) = self.known.remove(&id) else { return Ok(()) };
        self.tell(WorkloadEvent::Stopped { id, pid: known.pid }).await
    }

    async fn tell(&self, event: WorkloadEvent) -> Result<(), ContainerdError> {
        self.events.send(event).await.map_err(|_closed| ContainerdError::Receiver)
    }
}

/// An error with its causes on one line.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // The transport's errors say again what their causes say.
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// Adds labels and image of a container that containerd is about to start, if it knows it. Asks its store only: its
/// runtime answers nobody before the container's hooks have ended.
pub async fn complete(socket: &Path, newcomer: &mut Newcomer) -> Result<(), ContainerdError> {
    let mut client = Client::connect(socket).await?;
    let namespaces = match newcomer.runtime_namespace.as_str() {
        "" => client.namespaces().await?,
        known => vec![known.to_owned()],
    };
    for namespace in namespaces {
        let Some(record) = client.container(&namespace, &newcomer.id).await? else { continue };
        for (key, value) in record.labels {
            newcomer.labels.entry(key).or_insert(value);
        }
        if newcomer.image.is_empty() {
            newcomer.image = record.image;
        }
        if newcomer.cgroups_path.is_none() {
            newcomer.cgroups_path = record.cgroups_path;
        }
        // A pod's labels are those of the container that stands for it, and what policies select.
        if let Some(pod) = &newcomer.pod_id
            && let Some(record) = client.container(&namespace, pod).await?
        {
            for (key, value) in record.labels {
                newcomer.labels.entry(key).or_insert(value);
            }
        }
        newcomer.runtime_namespace = namespace;
        return Ok(());
    }
    Ok(())
}

/// The version of the containerd that listens at `socket`, if one does.
pub async fn version(socket: &Path) -> Result<String, ContainerdError> {
    Client::connect(socket).await?.version().await
}

#[cfg(test)]
mod tests;
