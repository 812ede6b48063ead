//! Containerd's calls, in this crate's words.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use hyper_util::rt::TokioIo;
use prost::Message;
use serde::Deserialize;
use tokio::net::UnixStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use super::{
    ContainerdError,
    api::{
        containers::{
            GetContainerRequest, GetContainerResponse, containers_client::ContainersClient,
        },
        events::{Envelope, SubscribeRequest, events_client::EventsClient},
        namespaces::{
            ListNamespacesRequest, ListNamespacesResponse, namespaces_client::NamespacesClient,
        },
        task_events::{TaskCreate, TaskDelete, TaskStart},
        tasks::{self, ListTasksRequest, ListTasksResponse, tasks_client::TasksClient},
        version::version_client::VersionClient,
    },
};
use crate::container::Container;

/// A container's specification with many mounts and devices, times many containers.
const LARGEST_ANSWER: usize = 64 << 20;

pub(super) struct Client {
    channel: Channel,
}

/// What the store knows of a container.
pub(super) struct ContainerRecord {
    pub(super) image: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) cgroups_path: Option<String>,
}

pub(super) enum TaskEvent {
    Exists { namespace: String, id: String, pid: u32 },
    Deleted { id: String },
}

impl Client {
    pub(super) async fn connect(socket: &Path) -> Result<Self, ContainerdError> {
        let path = socket.to_owned();
        let connector = tower::service_fn(move |_uri| {
            let path: PathBuf = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        // The address is never used: the connector above goes to the socket.
        let channel = Endpoint::from_static("http://containerd")
            .connect_with_connector(connector)
            .await
            .map_err(|source| ContainerdError::Connect { socket: socket.to_owned(), source })?;
        Ok(Self { channel })
    }

    pub(super) async fn version(&mut self) -> Result<String, ContainerdError> {
        let answer = VersionClient::new(self.channel.clone()).version(()).await;
        Ok(answer.map_err(failed("version"))?.into_inner().version)
    }

    pub(super) async fn namespaces(&mut self) -> Result<Vec<String>, ContainerdError> {
        let request = ListNamespacesRequest { filter: String::new() };
        let answer = NamespacesClient::new(self.channel.clone()).list(request).await;
        let namespaces = answer.map_err(failed("listing namespaces"))?.into_inner().namespaces;
        Ok(namespaces.into_iter().map(|namespace| namespace.name).collect())
    }

    /// Ids and first processes of the containers that have one.
    pub(super) async fn tasks(
        &mut self,
        namespace: &str,
    ) -> Result<Vec<(String, u32)>, ContainerdError> {
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
            .map(|task| (task.id, task.pid))
            .collect())
    }

    /// `None` if the container is gone.
    pub(super) async fn container(
        &mut self,
        namespace: &str,
        id: &str,
    ) -> Result<Option<ContainerRecord>, ContainerdError> {
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

    /// Events of all namespaces. The call goes out when the stream is first polled; containerd answers it with the
    /// first event only, so nothing waits for the answer itself.
    pub(super) fn subscribe(
        &mut self,
    ) -> impl Stream<Item = Result<TaskEvent, ContainerdError>> + Send + use<> {
        let filters = ["/tasks/create", "/tasks/start", "/tasks/delete"]
            .map(|topic| format!("topic==\"{topic}\""))
            .to_vec();
        let mut client = EventsClient::new(self.channel.clone());
        let (sender, receiver) = tokio::sync::mpsc::channel(64);
        // A task of its own, so that events are taken from the socket while a scan is going on.
        tokio::spawn(async move {
            let answer = client.subscribe(SubscribeRequest { filters }).await;
            let mut stream = match answer {
                Ok(answer) => answer.into_inner(),
                Err(status) => {
                    // The receiver may be gone, and then nobody wants to know.
                    let _ = sender.send(Err(failed("subscribing to events")(status))).await;
                    return;
                }
            };
            loop {
                let envelope = tokio::select! {
                    () = sender.closed() => return,
                    envelope = stream.next() => envelope,
                };
                let event = match envelope {
                    Some(Ok(envelope)) => task_event(envelope).map(Ok),
                    Some(Err(status)) => Some(Err(failed("reading events")(status))),
                    None => return,
                };
                if let Some(event) = event
                    && sender.send(event).await.is_err()
                {
                    return;
                }
            }
        });
        tokio_stream::wrappers::ReceiverStream::new(receiver)
    }
}

/// `None` for a namespace whose name no header can carry, which containerd itself does not allow.
fn within<T>(namespace: &str, message: T) -> Option<Request<T>> {
    let value: MetadataValue<Ascii> = namespace.parse().ok()?;
    let mut request = Request::new(message);
    request.metadata_mut().insert("containerd-namespace", value);
    Some(request)
}

fn failed(call: &'static str) -> impl FnOnce(Status) -> ContainerdError {
    move |status| ContainerdError::Call { call, status: Box::new(status) }
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
fn task_event(envelope: Envelope) -> Option<TaskEvent> {
    let namespace = envelope.namespace;
    let event = envelope.event?;
    match envelope.topic.as_str() {
        "/tasks/create" => {
            let TaskCreate { container_id: id, pid } = decode(&event.value)?;
            Some(TaskEvent::Exists { namespace, id, pid })
        }
        "/tasks/start" => {
            let TaskStart { container_id: id, pid } = decode(&event.value)?;
            Some(TaskEvent::Exists { namespace, id, pid })
        }
        "/tasks/delete" => {
            let TaskDelete { container_id, id, .. } = decode(&event.value)?;
            (id.is_empty() || id == container_id).then_some(TaskEvent::Deleted { id: container_id })
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
