//! The watcher against a small runtime of our own, over a real socket. What it says of a container is in the form in which
//! CRI-O says it; Debian has no package of CRI-O to ask.

use std::{
    collections::{BTreeMap, HashMap},
    pin::Pin,
    sync::{Arc, Mutex},
};

use serde_json::json;
use tokio::{
    net::UnixListener,
    sync::mpsc::{self, Sender},
    task::JoinHandle,
};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, transport::Server};

use super::{
    api::{runtime_service_server as server, *},
    *,
};
use crate::runtime::{Kind, tests::Watched};

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    running: BTreeMap<String, u32>,
    refuses_events: bool,
    subscribers: Vec<Sender<Result<ContainerEventResponse, Status>>>,
    described: usize,
}

impl Fake {
    fn run(&self, id: &str, pid: u32) {
        self.0.lock().unwrap().running.insert(id.into(), pid);
    }

    fn end(&self, id: &str) {
        self.0.lock().unwrap().running.remove(id);
    }

    async fn publish(&self, kind: ContainerEventType, id: &str) {
        let event =
            ContainerEventResponse { container_id: id.into(), container_event_type: kind.into() };
        let subscribers = self.0.lock().unwrap().subscribers.clone();
        for subscriber in subscribers {
            let _ = subscriber.send(Ok(event.clone())).await;
        }
    }

    async fn subscribed(&self) {
        while self.0.lock().unwrap().subscribers.is_empty() {
            tokio::task::yield_now().await;
        }
    }

    fn serve(&self, socket: &Path) -> JoinHandle<()> {
        let listener = UnixListener::bind(socket).unwrap();
        let service = server::RuntimeServiceServer::new(self.clone());
        tokio::spawn(async move {
            let incoming = UnixListenerStream::new(listener);
            Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
        })
    }
}

#[tonic::async_trait]
impl server::RuntimeService for Fake {
    async fn version(
        &self,
        _request: Request<VersionRequest>,
    ) -> Result<Response<VersionResponse>, Status> {
        let (runtime_name, runtime_version) = ("cri-o".into(), "1.33.0".into());
        Ok(Response::new(VersionResponse { runtime_name, runtime_version }))
    }

    async fn list_containers(
        &self,
        request: Request<ListContainersRequest>,
    ) -> Result<Response<ListContainersResponse>, Status> {
        let state = request.into_inner().filter.unwrap().state.unwrap().state();
        assert_eq!(state, ContainerState::ContainerRunning);
        let running = &self.0.lock().unwrap().running;
        let listed = |id: &String| Container { id: id.clone(), pod_sandbox_id: "pod".into() };
        let containers = running.keys().map(listed).collect();
        Ok(Response::new(ListContainersResponse { containers }))
    }

    async fn container_status(
        &self,
        request: Request<ContainerStatusRequest>,
    ) -> Result<Response<ContainerStatusResponse>, Status> {
        let ContainerStatusRequest { container_id: id, verbose } = request.into_inner();
        let mut state = self.0.lock().unwrap();
        state.described += 1;
        let Some(pid) = state.running.get(&id) else { return Err(Status::not_found(id)) };
        let info = json!({
            "sandboxID": "pod", "pid": pid, "privileged": false,
            "runtimeSpec": {
                "ociVersion": "1.1.0",
                "linux": {"cgroupsPath": format!("kubepods.slice:crio:{id}")},
            },
        });
        let info = verbose.then(|| ("info".to_owned(), info.to_string()));
        let labels = [
            ("io.kubernetes.container.name", "main"),
            ("io.kubernetes.pod.name", "web-1"),
            ("io.kubernetes.pod.namespace", "shop"),
        ];
        let status = ContainerStatus {
            id,
            metadata: Some(ContainerMetadata { name: "main".into() }),
            state: ContainerState::ContainerRunning.into(),
            image: Some(ImageSpec { image: "registry/web:1".into() }),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        };
        let info = info.into_iter().collect::<HashMap<_, _>>();
        Ok(Response::new(ContainerStatusResponse { status: Some(status), info }))
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<PodSandboxStatusRequest>,
    ) -> Result<Response<PodSandboxStatusResponse>, Status> {
        let id = request.into_inner().pod_sandbox_id;
        assert_eq!(id, "pod");
        let metadata = PodSandboxMetadata { name: "web-1".into(), namespace: "shop".into() };
        let labels = HashMap::from([("app".to_owned(), "web".to_owned())]);
        let status = PodSandboxStatus { id, metadata: Some(metadata), labels };
        Ok(Response::new(PodSandboxStatusResponse { status: Some(status) }))
    }

    type GetContainerEventsStream =
        Pin<Box<dyn tokio_stream::Stream<Item = Result<ContainerEventResponse, Status>> + Send>>;

    async fn get_container_events(
        &self,
        _request: Request<GetEventsRequest>,
    ) -> Result<Response<Self::GetContainerEventsStream>, Status> {
        let mut state = self.0.lock().unwrap();
        if state.refuses_events {
            return Err(Status::unknown("event generation is not enabled"));
        }
        let (sender, receiver) = mpsc::channel(8);
        state.subscribers.push(sender);
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

fn started(fake: &Fake) -> (tempfile::TempDir, JoinHandle<()>, Watched) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("crio.sock");
    let server = fake.serve(&socket);
    let watched = Watched::start::<Client>(Kind::Cri, &socket);
    (directory, server, watched)
}

#[tokio::test]
async fn a_pods_container_has_its_pods_names_and_labels() {
    let fake = Fake::default();
    fake.run("c0ffee", 11);
    let (_directory, _server, mut watched) = started(&fake);
    let found = watched.container().await;
    assert_eq!((found.id.as_str(), found.pid), ("c0ffee", 11));
    let names = (found.name.as_str(), found.pod.as_str(), found.namespace.as_str());
    assert_eq!(names, ("main", "web-1", "shop"));
    assert_eq!(found.image, "registry/web:1");
    assert_eq!(found.labels.into_iter().collect::<Vec<_>>(), [("app".into(), "web".into())]);
}

#[tokio::test]
async fn events_are_followed_where_there_are_any() {
    let fake = Fake::default();
    let (_directory, _server, mut watched) = started(&fake);
    fake.subscribed().await;
    watched.standing().await;
    fake.run("one", 11);
    fake.publish(ContainerEventType::ContainerCreatedEvent, "one").await;
    fake.publish(ContainerEventType::ContainerStartedEvent, "one").await;
    assert_eq!(watched.next().await, "+one@11");
    fake.publish(ContainerEventType::ContainerStoppedEvent, "one").await;
    fake.end("one");
    fake.publish(ContainerEventType::ContainerStoppedEvent, "one").await;
    fake.publish(ContainerEventType::ContainerDeletedEvent, "one").await;
    assert_eq!(watched.next().await, "-one@11");
}

#[tokio::test]
async fn where_there_are_no_events_it_is_asked_what_runs() {
    let fake = Fake::default();
    fake.0.lock().unwrap().refuses_events = true;
    fake.run("one", 11);
    let (_directory, _server, mut watched) = started(&fake);
    assert_eq!(watched.next().await, "+one@11");
    fake.run("two", 22);
    assert_eq!(watched.next().await, "+two@22");
    fake.end("one");
    assert_eq!(watched.next().await, "-one@11");
    assert_eq!(fake.0.lock().unwrap().described, 2, "each is read once");
}

#[tokio::test]
async fn nothing_is_lost_while_it_is_away() {
    let fake = Fake::default();
    fake.run("one", 11);
    let (directory, server, mut watched) = started(&fake);
    assert_eq!(watched.next().await, "+one@11");
    server.abort();
    let _ = server.await;
    fake.0.lock().unwrap().subscribers.clear();
    fake.end("one");
    fake.run("two", 22);
    let socket = directory.path().join("crio.sock");
    std::fs::remove_file(&socket).unwrap();
    fake.serve(&socket);
    assert_eq!(watched.next().await, "+two@22");
    assert_eq!(watched.next().await, "-one@11");
}
