//! The watcher against a small containerd of our own, over a real socket.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex},
};

use prost::Message;
use tokio::{
    net::UnixListener,
    sync::mpsc::{self, Sender},
    task::JoinHandle,
};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status, transport::Server};

use super::{
    api::{
        containers::{self, containers_server},
        events::{self, events_server},
        namespaces::{self, namespaces_server},
        task_events::{TaskCreate, TaskDelete},
        tasks::{self, tasks_server},
        version::{VersionResponse, version_server},
    },
    *,
};
use crate::runtime::{Kind, tests::Watched};

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By namespace and id, the first process.
    running: HashMap<(String, String), u32>,
    subscribers: Vec<Sender<Result<events::Envelope, Status>>>,
}

impl Fake {
    fn run(&self, namespace: &str, id: &str, pid: u32) {
        self.0.lock().unwrap().running.insert((namespace.into(), id.into()), pid);
    }

    fn end(&self, namespace: &str, id: &str) {
        self.0.lock().unwrap().running.remove(&(namespace.into(), id.into()));
    }

    async fn publish(&self, topic: &str, event: &impl Message) {
        let envelope = events::Envelope {
            namespace: "default".into(),
            topic: topic.into(),
            event: Some(prost_types::Any { value: event.encode_to_vec(), ..Default::default() }),
            timestamp: None,
        };
        let subscribers = self.0.lock().unwrap().subscribers.clone();
        for subscriber in subscribers {
            let _ = subscriber.send(Ok(envelope.clone())).await;
        }
    }

    async fn subscribed(&self) {
        while self.0.lock().unwrap().subscribers.is_empty() {
            tokio::task::yield_now().await;
        }
    }

    fn serve(&self, socket: &Path) -> JoinHandle<()> {
        let listener = UnixListener::bind(socket).unwrap();
        let fake = self.clone();
        tokio::spawn(async move {
            Server::builder()
                .add_service(containers_server::ContainersServer::new(fake.clone()))
                .add_service(tasks_server::TasksServer::new(fake.clone()))
                .add_service(namespaces_server::NamespacesServer::new(fake.clone()))
                .add_service(version_server::VersionServer::new(fake.clone()))
                .add_service(events_server::EventsServer::new(fake))
                .serve_with_incoming(UnixListenerStream::new(listener))
                .await
                .unwrap();
        })
    }
}

fn namespace_of<T>(request: &Request<T>) -> String {
    request.metadata().get("containerd-namespace").unwrap().to_str().unwrap().to_owned()
}

#[tonic::async_trait]
impl containers_server::Containers for Fake {
    async fn get(
        &self,
        request: Request<containers::GetContainerRequest>,
    ) -> Result<Response<containers::GetContainerResponse>, Status> {
        let namespace = namespace_of(&request);
        let id = request.into_inner().id;
        if !self.0.lock().unwrap().running.contains_key(&(namespace, id.clone())) {
            return Err(Status::not_found(id));
        }
        let container = containers::Container {
            labels: HashMap::from([("app".into(), "web".into())]),
            image: "img".into(),
            id,
            spec: None,
        };
        Ok(Response::new(containers::GetContainerResponse { container: Some(container) }))
    }

    async fn list(
        &self,
        _request: Request<containers::ListContainersRequest>,
    ) -> Result<Response<containers::ListContainersResponse>, Status> {
        Err(Status::unimplemented("the watcher lists tasks"))
    }
}

#[tonic::async_trait]
impl tasks_server::Tasks for Fake {
    async fn get(
        &self,
        _request: Request<tasks::GetRequest>,
    ) -> Result<Response<tasks::GetResponse>, Status> {
        Err(Status::unimplemented("the watcher lists tasks"))
    }

    async fn list(
        &self,
        request: Request<tasks::ListTasksRequest>,
    ) -> Result<Response<tasks::ListTasksResponse>, Status> {
        let wanted = namespace_of(&request);
        let state = self.0.lock().unwrap();
        let tasks = state
            .running
            .iter()
            .filter(|((namespace, _), _)| *namespace == wanted)
            .map(|((_, id), &pid)| tasks::Process {
                id: id.clone(),
                pid,
                status: tasks::Status::Running.into(),
                ..Default::default()
            })
            .collect();
        Ok(Response::new(tasks::ListTasksResponse { tasks }))
    }
}

#[tonic::async_trait]
impl namespaces_server::Namespaces for Fake {
    async fn list(
        &self,
        _request: Request<namespaces::ListNamespacesRequest>,
    ) -> Result<Response<namespaces::ListNamespacesResponse>, Status> {
        let namespaces = ["default", "k8s.io"]
            .map(|name| namespaces::Namespace { name: name.into(), ..Default::default() })
            .to_vec();
        Ok(Response::new(namespaces::ListNamespacesResponse { namespaces }))
    }
}

#[tonic::async_trait]
impl version_server::Version for Fake {
    async fn version(&self, _request: Request<()>) -> Result<Response<VersionResponse>, Status> {
        Ok(Response::new(VersionResponse { version: "v1".into(), revision: String::new() }))
    }
}

#[tonic::async_trait]
impl events_server::Events for Fake {
    type SubscribeStream =
        Pin<Box<dyn tokio_stream::Stream<Item = Result<events::Envelope, Status>> + Send>>;

    async fn subscribe(
        &self,
        _request: Request<events::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let (sender, receiver) = mpsc::channel(8);
        self.0.lock().unwrap().subscribers.push(sender);
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

fn started(fake: &Fake) -> (tempfile::TempDir, JoinHandle<()>, Watched) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("containerd.sock");
    let server = fake.serve(&socket);
    let watched = Watched::start::<Client>(Kind::Containerd, &socket);
    (directory, server, watched)
}

#[tokio::test]
async fn containers_of_all_namespaces_are_found_then_followed() {
    let fake = Fake::default();
    fake.run("default", "one", 11);
    fake.run("k8s.io", "two", 22);
    let (_directory, _server, mut watched) = started(&fake);
    assert_eq!(watched.next().await, "+one@11");
    assert_eq!(watched.next().await, "+two@22");

    fake.subscribed().await;
    fake.run("default", "three", 33);
    let create = TaskCreate { container_id: "three".into(), pid: 33 };
    fake.publish("/tasks/create", &create).await;
    assert_eq!(watched.next().await, "+three@33");

    fake.end("default", "one");
    let exec_ended = TaskDelete { container_id: "two".into(), id: "exec-1".into(), pid: 5 };
    fake.publish("/tasks/delete", &exec_ended).await;
    let earlier = TaskDelete { container_id: "two".into(), id: String::new(), pid: 21 };
    fake.publish("/tasks/delete", &earlier).await;
    let ended = TaskDelete { container_id: "one".into(), id: String::new(), pid: 11 };
    fake.publish("/tasks/delete", &ended).await;
    assert_eq!(watched.next().await, "-one@11");
}

#[tokio::test]
async fn nothing_is_lost_while_containerd_is_away() {
    let fake = Fake::default();
    fake.run("default", "one", 11);
    fake.run("default", "two", 22);
    let (directory, server, mut watched) = started(&fake);
    let mut first = [watched.next().await, watched.next().await];
    first.sort();
    assert_eq!(first, ["+one@11", "+two@22"]);

    server.abort();
    let _ = server.await;
    fake.0.lock().unwrap().subscribers.clear();
    fake.end("default", "one");
    fake.run("default", "two", 44);
    let socket = directory.path().join("containerd.sock");
    std::fs::remove_file(&socket).unwrap();
    fake.serve(&socket);
    assert_eq!(watched.next().await, "+two@44");
    assert_eq!(watched.next().await, "-one@11");
}

#[tokio::test]
async fn what_a_hook_cannot_tell_containerd_knows() {
    let fake = Fake::default();
    fake.run("k8s.io", "web", 11);
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("containerd.sock");
    let server = fake.serve(&socket);
    let told = |id: &str| Newcomer { id: id.into(), pid: 11, ..Newcomer::default() };

    let mut web = told("web");
    assert!(complete(&socket, &mut web).await.unwrap());
    assert_eq!((web.image.as_str(), web.runtime_namespace.as_str()), ("img", "k8s.io"));
    assert_eq!(web.labels["app"], "web");

    let mut elsewhere = Newcomer { runtime_namespace: "default".into(), ..told("web") };
    assert!(!complete(&socket, &mut elsewhere).await.unwrap());
    assert!(elsewhere.labels.is_empty(), "another namespace's container of the same id");

    let mut labelled = told("web");
    labelled.labels.insert("app".into(), "as the pod says".into());
    assert!(complete(&socket, &mut labelled).await.unwrap());
    assert_eq!(labelled.labels["app"], "as the pod says");

    server.abort();
    let _ = server.await;
    std::fs::remove_file(&socket).unwrap();
    assert!(complete(&socket, &mut told("web")).await.is_err());
}
