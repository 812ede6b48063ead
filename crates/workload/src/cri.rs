//! The container runtime interface of Kubernetes, which CRI-O speaks, and cri-dockerd.

mod api;

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde::Deserialize;
use tokio::{sync::mpsc::Receiver, time::sleep};
use tonic::{Code, Status, transport::Channel};
use tracing::debug;

use self::api::{
    ContainerEventResponse, ContainerEventType, ContainerFilter, ContainerState,
    ContainerStateValue, ContainerStatus, ContainerStatusRequest, GetEventsRequest,
    ListContainersRequest, PodSandboxStatusRequest, VersionRequest,
    runtime_service_client::RuntimeServiceClient,
};
use crate::runtime::{
    Change, Description, Peer, RuntimeError, Sighting,
    channel::{changes, connect, failed},
};

/// Descriptions of many containers.
const LARGEST_ANSWER: usize = 64 << 20;
/// How often a runtime is asked that offers no events.
const POLL: Duration = Duration::from_millis(500);

pub(crate) struct Client {
    runtime: RuntimeServiceClient<Channel>,
    /// `None` where there are no events to be had.
    events: Option<Receiver<Result<Change, Status>>>,
    has_events: bool,
    /// First processes by id, which a container has for good: it never starts again under its id.
    pids: BTreeMap<String, u32>,
}

/// What CRI-O and containerd say of a container beyond the interface, as far as it matters.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Info {
    pid: u32,
    #[serde(rename = "sandboxID")]
    sandbox_id: String,
    runtime_spec: Specification,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Specification {
    linux: SpecificationLinux,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SpecificationLinux {
    cgroups_path: Option<String>,
}

impl Peer for Client {
    async fn connect(socket: &Path) -> Result<Self, RuntimeError> {
        let runtime = RuntimeServiceClient::new(connect(socket).await?)
            .max_decoding_message_size(LARGEST_ANSWER);
        Ok(Self { runtime, events: None, has_events: false, pids: BTreeMap::new() })
    }

    async fn version(&mut self) -> Result<String, RuntimeError> {
        let answer = self.runtime.version(VersionRequest { version: "v1".to_owned() }).await;
        let answer = answer.map_err(failed("version"))?.into_inner();
        Ok(format!("{}-{}", answer.runtime_name, answer.runtime_version))
    }

    async fn subscribe(&mut self) -> Result<(), RuntimeError> {
        let mut runtime = self.runtime.clone();
        let call = async move { runtime.get_container_events(GetEventsRequest {}).await };
        self.events = Some(changes(call, change));
        Ok(())
    }

    async fn running(&mut self) -> Result<Vec<Sighting>, RuntimeError> {
        let running = ContainerStateValue { state: ContainerState::ContainerRunning.into() };
        let filter = ContainerFilter { id: String::new(), state: Some(running) };
        let request = ListContainersRequest { filter: Some(filter) };
        let answer = self.runtime.list_containers(request).await;
        let containers = answer.map_err(failed("listing containers"))?.into_inner().containers;
        let ids: Vec<String> = containers.into_iter().map(|container| container.id).collect();
        self.pids.retain(|known, _| ids.contains(known));
        let seen = |id: String| Sighting { pid: self.pids.get(&id).copied(), ..seen(id) };
        Ok(ids.into_iter().map(seen).collect())
    }

    async fn describe(&mut self, sighting: &Sighting) -> Result<Option<Description>, RuntimeError> {
        let request = ContainerStatusRequest { container_id: sighting.id.clone(), verbose: true };
        let answer = match self.runtime.container_status(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(failed("reading a container")(status)),
        };
        let Some(status) = answer.status else { return Ok(None) };
        let info = answer.info.get("info").and_then(|text| serde_json::from_str(text).ok());
        let info: Info = info.unwrap_or_default();
        if status.state() != ContainerState::ContainerRunning || info.pid == 0 {
            return Ok(None);
        }
        let pod = self.pod_labels(&info.sandbox_id).await?;
        self.pids.insert(status.id.clone(), info.pid);
        Ok(Some(described(status, info, pod)))
    }

    async fn next(&mut self) -> Result<Change, RuntimeError> {
        if let Some(events) = &mut self.events {
            match events.recv().await {
                Some(Ok(change)) => {
                    self.has_events = true;
                    return Ok(change);
                }
                // CRI-O has the call and refuses it unless `enable_pod_events` is set.
                Some(Err(status)) if !self.has_events => {
                    debug!("no events, asking now and then: {}", status.message());
                    self.events = None;
                }
                Some(Err(status)) => return Err(failed("reading events")(status)),
                None => return Err(RuntimeError::StreamEnded),
            }
        }
        sleep(POLL).await;
        Ok(Change::Any)
    }
}

impl Client {
    /// What policies select: the labels of the pod, under those that Kubernetes names it by.
    async fn pod_labels(&mut self, id: &str) -> Result<BTreeMap<String, String>, RuntimeError> {
        let request = PodSandboxStatusRequest { pod_sandbox_id: id.to_owned() };
        let status = match self.runtime.pod_sandbox_status(request).await {
            Ok(answer) => answer.into_inner().status,
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => return Err(failed("reading a pod")(status)),
        };
        let status = status.unwrap_or_default();
        let metadata = status.metadata.unwrap_or_default();
        let mut labels: BTreeMap<_, _> = status.labels.into_iter().collect();
        for (key, value) in [
            ("io.kubernetes.pod.name", metadata.name),
            ("io.kubernetes.pod.namespace", metadata.namespace),
        ] {
            if !value.is_empty() {
                labels.insert(key.to_owned(), value);
            }
        }
        Ok(labels)
    }
}

fn described(
    status: ContainerStatus,
    info: Info,
    mut labels: BTreeMap<String, String>,
) -> Description {
    labels.extend(status.labels);
    Description {
        pid: info.pid,
        name: status.metadata.unwrap_or_default().name,
        image: status.image.unwrap_or_default().image,
        labels,
        cgroups_path: info.runtime_spec.linux.cgroups_path.or(Some(status.id)),
    }
}

fn seen(id: String) -> Sighting {
    Sighting { id, ..Sighting::default() }
}

/// A container that is only created has no process yet; one that is deleted has ended before.
fn change(event: ContainerEventResponse) -> Option<Change> {
    let kind = event.container_event_type();
    let id = event.container_id;
    match kind {
        ContainerEventType::ContainerStartedEvent => Some(Change::Exists(seen(id))),
        ContainerEventType::ContainerStoppedEvent => Some(Change::Gone { id, pid: None }),
        ContainerEventType::ContainerCreatedEvent | ContainerEventType::ContainerDeletedEvent => {
            None
        }
    }
}

#[cfg(test)]
mod tests;
