//! A watcher over some peer, and what it tells.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{mpsc, watch};

use super::{
    Followed, Kind, Peer, Runtime,
    census::Census,
    watcher::{ANSWER, Watcher},
};
use crate::container::{Container, WorkloadEvent};

pub(crate) struct Watched {
    pub(crate) events: mpsc::Receiver<WorkloadEvent>,
    pub(crate) followed: watch::Receiver<Followed>,
}

impl Watched {
    /// Follows what listens at this socket, or will.
    pub(crate) fn start<P: Peer + 'static>(kind: Kind, socket: &Path) -> Self {
        Self::patient::<P>(kind, socket, ANSWER)
    }

    /// The same, for so long.
    pub(crate) fn patient<P: Peer + 'static>(
        kind: Kind,
        socket: &Path,
        patience: Duration,
    ) -> Self {
        let (sender, events) = mpsc::channel(16);
        let followed = watch::Sender::new(Followed::new());
        let watcher = Watcher {
            runtime: Runtime { kind, socket: socket.to_owned(), expected: false },
            number: 0,
            census: Arc::new(Mutex::new(Census::new(1))),
            events: sender,
            followed: followed.clone(),
            known: BTreeMap::new(),
            find_cgroup: |pid, _| Ok(PathBuf::from(format!("/cgroup/{pid}"))),
            patience,
        };
        tokio::spawn(watcher.run::<P>());
        Self { events, followed: followed.subscribe() }
    }

    /// The next container that is told of.
    pub(crate) async fn container(&mut self) -> Container {
        loop {
            match self.events.recv().await.unwrap() {
                WorkloadEvent::Started(container) => {
                    let cgroup = PathBuf::from(format!("/cgroup/{}", container.pid));
                    assert_eq!(container.cgroup, cgroup);
                    return container;
                }
                WorkloadEvent::Stopped { id, .. } => panic!("{id} ended"),
                WorkloadEvent::Scanned | WorkloadEvent::RuntimeAway => {}
            }
        }
    }

    /// The next event that is no end of a scan; `+id` or `-id`.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            match self.events.recv().await.unwrap() {
                WorkloadEvent::Started(container) => {
                    return format!("+{}@{}", container.id, container.pid);
                }
                WorkloadEvent::Stopped { id, pid } => return format!("-{id}@{pid}"),
                WorkloadEvent::Scanned | WorkloadEvent::RuntimeAway => {}
            }
        }
    }

    /// Until all that runs has been told, or the runtime is away.
    pub(crate) async fn standing(&mut self) -> WorkloadEvent {
        loop {
            let event = self.events.recv().await.unwrap();
            if matches!(event, WorkloadEvent::Scanned | WorkloadEvent::RuntimeAway) {
                return event;
            }
        }
    }
}
