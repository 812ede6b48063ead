//! Containerd's calls, in this crate's words.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use prost::Message;
use serde::Deserialize;
use tokio::sync::mpsc::Receiver;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use super::api::{
    containers::{GetContainerRequest, GetContainerResponse, containers_client::ContainersClient},
    events::{Envelope, SubscribeRequest, events_client::EventsClient},
    namespaces::{
        ListNamespacesRequest, ListNamespacesResponse, namespaces_client::NamespacesClient,
    },
    task_events::{TaskCreate, TaskDelete, TaskStart},
    tasks::{self, ListTasksRequest, ListTasksResponse, tasks_client::TasksClient},
    version::version_client::VersionClient,
};
use crate::container::Container;
use crate::runtime::{
    Change, Description, Peer, RuntimeError, Sighting,
    channel::{changes, connect, failed},
};

/// A container's specification with many mounts and devices, times many containers.
const LARGEST_ANSWER: usize = 64 << 20;

pub(crate) struct Client {
    channel: Channel,
    events: Option<Receiver<Result<Change, Status>>>,
}

/// What the store knows of a container.
pub(super) struct ContainerRecord {
    pub(super) image: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) cgroups_path: Option<String>,
}

impl Peer for Client {
    async fn connect(socket: &Path) -> Result<Self, RuntimeError> {
        Ok(Self { channel: connect(socket).await?, events: None })
    }

    async fn version(&mut self) -> Result<String, RuntimeError> {
        let answer = VersionClient::new(self.channel.clone()).version(()).await;
        Ok(answer.map_err(failed("version"))?.into_inner().version)
    }

    /// Events of all namespaces. Containerd answers the call with the first event only, so nothing waits for the answer
    /// itself.
    async fn subscribe(&mut self) -> Result<(), RuntimeError> {
        let filters = ["/tasks/create", "/tasks/start", "/tasks/delete"]
            .map(|topic| format!("topic==\"{topic}\""))
            .to_vec();
        let mut client = EventsClient::new(self.channel.clone());
        let call = async move { client.subscribe(SubscribeRequest { filters }).await };
        self.events = Some(changes(call, task_event));
        Ok(())
    }

    async fn running(&mut self) -> Result<Vec<Sighting>, RuntimeError> {
        let mut found = Vec::new();
        for namespace in self.namespaces().await? {
            found.extend(self.tasks(&namespace).await?);
        }
        Ok(found)
    }

    async fn describe(&mut self, sighting: &Sighting) -> Result<Option<Description>, RuntimeError> {
        let Some(pid) = sighting.pid else { return Ok(None) };
        let record = self.container(&sighting.namespace, &sighting.id).await?;
        Ok(record.map(|ContainerRecord { image, labels, cgroups_path }| Description {
            pid,
            name: String::new(),
            image,
            labels,
            cgroups_path,
        }))
    }

    async fn next(&mut self) -> Result<Change, RuntimeError> {
        let Some(events) = &mut self.events else { return Err(RuntimeError::StreamEnded) };
        match events.recv().await {
            Some(change) => change.map_err(failed("reading events")),
            None => Err(RuntimeError::StreamEnded),
        }
    }
}

impl Client {
    pub(super) async fn namespaces(&mut self) -> Result<Vec<String>, RuntimeError> {
        let request = ListNamespacesRequest { filter: String::new() };
        let answer = NamespacesClient::new(self.channel.clone()).list(request).await;
        let namespaces = answer.map_err(failed("listing namespaces"))?.into_inner().namespaces;
        Ok(namespaces.into_iter().map(|namespace| namespace.name).collect())
    }

    /// The containers of a namespace that have a first process.
    async fn tasks(&mut self, namespace: &str) -> Result<Vec<Sighting>, RuntimeError> {
        let Some(request) = within(namespace, ListTasksRequest { filter: String::new() }) else {
            return Ok(Vec::new());
        };
        let answer = TasksClient::new(self.channel.clone())
            .max_decoding_message_size(LARGEST_ANSWER)
            .list(request)
            .await;
        let tasks = answer.map_err(failed("listing tasks"))?.into_inner().tasks;
        Ok(tasks
            .into_iter()
            .filter(|task| task.status() != tasks::Status::Stopped && task.pid != 0)
            // Answers to `list` leave `container_id` empty: the id of a first process is its container's.
            .map(|task| seen(namespace, task.id, task.pid))
            .collect())
    }

    /// `None` if the container is gone.
    pub(super) async fn container(
        &mut self,
        namespace: &str,
        id: &str,
    ) -> Result<Option<ContainerRecord>, RuntimeError> {
        let Some(request) = within(namespace, GetContainerRequest { id: id.to_owned() }) else {
            return Ok(None);
        };
        let answer = ContainersClient::new(self.channel.clone())
            .max_decoding_message_size(LARGEST_ANSWER)
            .get(request)
            .await;
        let container = match answer {
            Ok(answer) => answer.into_inner().container,
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => return Err(failed("reading a container")(status)),
        };
        Ok(container.map(|container| ContainerRecord {
            image: container.image,
            labels: container.labels.into_iter().collect(),
            cgroups_path: container.spec.and_then(|spec| cgroups_path(&spec.value)),
        }))
    }
}

fn seen(namespace: &str, id: String, pid: u32) -> Sighting {
    Sighting { namespace: namespace.to_owned(), id, pid: Some(pid) }
}

/// `None` for a namespace whose name no header can carry, which containerd itself does not allow.
fn within<T>(namespace: &str, message: T) -> Option<Request<T>> {
    let value: MetadataValue<Ascii> = namespace.parse().ok()?;
    let mut request = Request::new(message);
    request.metadata_mut().insert("containerd-namespace", value);
    Some(request)
}

fn cgroups_path(spec: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Spec {
        linux: Option<Linux>,
    }
    #[derive(Deserialize)]
    struct Linux {
        #[serde(rename = "cgroupsPath")]
        cgroups_path: Option<String>,
    }
    serde_json::from_slice::<Spec>(spec).ok()?.linux?.cgroups_path
}

/// `None` for events that change nothing here, such as the end of an exec.
fn task_event(envelope: Envelope) -> Option<Change> {
    let namespace = envelope.namespace;
    let event = envelope.event?;
    match envelope.topic.as_str() {
        "/tasks/create" => {
            let TaskCreate { container_id: id, pid } = decode(&event.value)?;
            Some(Change::Exists(seen(&namespace, id, pid)))
        }
        "/tasks/start" => {
            let TaskStart { container_id: id, pid } = decode(&event.value)?;
            Some(Change::Exists(seen(&namespace, id, pid)))
        }
        "/tasks/delete" => {
            let TaskDelete { container_id, id, pid } = decode(&event.value)?;
            let is_first = id.is_empty() || id == container_id;
            is_first.then_some(Change::Gone { id: container_id, pid: Some(pid) })
        }
        _ => None,
    }
}

/// Reads whatever containerd may send, for those who try what harms.
pub fn read_hostile(bytes: &[u8]) {
    let _ = cgroups_path(bytes);
    for topic in ["/tasks/create", "/tasks/start", "/tasks/delete"] {
        let event = Some(prost_types::Any { type_url: String::new(), value: bytes.to_vec() });
        let _ = task_event(Envelope { topic: topic.to_owned(), event, ..Envelope::default() });
    }
    if let Some(envelope) = decode::<Envelope>(bytes) {
        let _ = task_event(envelope);
    }
    if let Some(container) = decode::<GetContainerResponse>(bytes).and_then(|it| it.container) {
        let labels = container.labels.into_iter().collect();
        let _ =
            Container::new(container.id, container.image, labels, String::new(), 0, PathBuf::new());
    }
    let _ = decode::<ListTasksResponse>(bytes);
    let _ = decode::<ListNamespacesResponse>(bytes);
}

fn decode<M: Message + Default>(value: &[u8]) -> Option<M> {
    M::decode(value).ok()
}
