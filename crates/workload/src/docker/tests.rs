//! The watcher against a small Docker of our own, over a real socket.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    task::JoinHandle,
};

use super::{Client, change};
use crate::{
    container::WorkloadEvent,
    runtime::{Change, Kind, tests::Watched},
};

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By id, the first process.
    running: BTreeMap<String, u32>,
    listeners: Vec<UnixStream>,
}

impl Fake {
    fn run(&self, id: &str, pid: u32) {
        self.0.lock().unwrap().running.insert(id.into(), pid);
    }

    fn end(&self, id: &str) {
        self.0.lock().unwrap().running.remove(id);
    }

    async fn publish(&self, action: &str, id: &str) {
        let event = json!({"Type": "container", "Action": action, "Actor": {"ID": id}});
        let text = format!("{event}\n");
        let listeners = std::mem::take(&mut self.0.lock().unwrap().listeners);
        for mut listener in listeners {
            let chunk = format!("{:x}\r\n{text}\r\n", text.len());
            listener.write_all(chunk.as_bytes()).await.unwrap();
            self.0.lock().unwrap().listeners.push(listener);
        }
    }

    async fn listened(&self) {
        while self.0.lock().unwrap().listeners.is_empty() {
            tokio::task::yield_now().await;
        }
    }

    fn serve(&self, socket: &std::path::Path) -> JoinHandle<()> {
        let listener = UnixListener::bind(socket).unwrap();
        let fake = self.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                fake.answer(stream).await;
            }
        })
    }

    async fn answer(&self, stream: UnixStream) {
        let mut stream = BufReader::new(stream);
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            if stream.read_line(&mut request).await.unwrap() == 0 {
                return;
            }
        }
        let mut stream = stream.into_inner();
        let path = request.split(' ').nth(1).unwrap().to_owned();
        if path.starts_with("/events?") {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            self.0.lock().unwrap().listeners.push(stream);
            return;
        }
        let (status, body) = match self.content(&path) {
            Some(body) => ("200 OK", body.to_string()),
            None => ("404 Not Found", json!({"message": "no such thing"}).to_string()),
        };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    }

    fn content(&self, path: &str) -> Option<Value> {
        let running = &self.0.lock().unwrap().running;
        match path {
            "/version" => Some(json!({"Version": "26.1.5", "ApiVersion": "1.45"})),
            "/containers/json" => {
                Some(running.keys().map(|id| json!({"Id": id, "State": "running"})).collect())
            }
            _ => {
                let id = path.strip_prefix("/containers/")?.strip_suffix("/json")?;
                let pid = running.get(id)?;
                Some(json!({
                    "Id": id,
                    "Name": "/web",
                    "Config": {"Image": "shop/web:1", "Labels": {"app": "web"}},
                    "State": {"Running": true, "Pid": pid},
                }))
            }
        }
    }
}

#[tokio::test]
async fn a_container_has_the_name_image_and_labels_that_docker_gives_it() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let fake = Fake::default();
    fake.run("c0ffee", 11);
    fake.serve(&socket);
    let mut watched = Watched::start::<Client>(Kind::Docker, &socket);
    let container = watched.container().await;
    assert_eq!((container.id.as_str(), container.pid), ("c0ffee", 11));
    assert_eq!((container.name.as_str(), container.image.as_str()), ("web", "shop/web:1"));
    assert_eq!(
        (container.namespace.as_str(), &*container.labels["app"]),
        ("container_namespace", "web")
    );
    watched.followed.wait_for(|all| !all.is_empty()).await.unwrap();
    let followed = watched.followed.borrow().clone();
    assert_eq!(followed.into_iter().collect::<Vec<_>>(), [(socket, "docker://26.1.5".to_owned())]);
}

#[tokio::test]
async fn starts_and_ends_are_followed() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let fake = Fake::default();
    fake.serve(&socket);
    let mut watched = Watched::start::<Client>(Kind::Docker, &socket);
    fake.listened().await;
    assert_eq!(watched.standing().await, WorkloadEvent::Scanned);
    fake.run("one", 11);
    fake.publish("start", "one").await;
    assert_eq!(watched.next().await, "+one@11");
    // News of an earlier life: it runs again already.
    fake.run("one", 12);
    fake.publish("die", "one").await;
    assert_eq!(watched.next().await, "+one@12");
    fake.publish("die", "one").await;
    fake.end("one");
    fake.publish("exec_create: sh", "one").await;
    fake.publish("die", "one").await;
    assert_eq!(watched.next().await, "-one@12");
}

#[tokio::test]
async fn nothing_is_lost_while_docker_is_away() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let fake = Fake::default();
    fake.run("one", 11);
    fake.run("two", 22);
    let server = fake.serve(&socket);
    let mut watched = Watched::start::<Client>(Kind::Docker, &socket);
    assert_eq!([watched.next().await, watched.next().await], ["+one@11", "+two@22"]);
    watched.followed.wait_for(|all| !all.is_empty()).await.unwrap();

    server.abort();
    let _ = server.await;
    std::fs::remove_file(&socket).unwrap();
    // The connection that events came by breaks.
    fake.0.lock().unwrap().listeners.clear();
    while watched.standing().await != WorkloadEvent::RuntimeAway {}
    assert!(watched.followed.borrow().is_empty());
    fake.end("one");
    fake.run("two", 44);
    fake.run("three", 33);
    fake.serve(&socket);
    let mut news = [watched.next().await, watched.next().await, watched.next().await];
    news.sort();
    assert_eq!(news, ["+three@33", "+two@44", "-one@11"]);
}

#[tokio::test]
async fn a_runtime_that_comes_later_is_taken_up() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let mut watched = Watched::start::<Client>(Kind::Docker, &socket);
    assert_eq!(watched.standing().await, WorkloadEvent::Scanned, "there is nothing to wait for");
    let fake = Fake::default();
    fake.run("one", 11);
    fake.serve(&socket);
    assert_eq!(watched.next().await, "+one@11");
}

#[tokio::test]
async fn one_that_hangs_counts_as_away() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let _silent = UnixListener::bind(&socket).unwrap();
    let patience = Duration::from_millis(50);
    let mut watched = Watched::patient::<Client>(Kind::Docker, &socket, patience);
    assert_eq!(watched.standing().await, WorkloadEvent::RuntimeAway);
}

#[test]
fn events_that_change_nothing_are_passed_over() {
    let start =
        br#"{"status":"start","id":"a","Type":"container","Action":"start","Actor":{"ID":"a"}}"#;
    assert!(matches!(change(start), Some(Change::Exists(sighting)) if sighting.id == "a"));
    let podmans = br#"{"Type":"container","Action":"died","Actor":{"ID":"a"}}"#;
    assert_eq!(change(podmans), Some(Change::Gone { id: "a".into(), pid: None }));
    for line in [
        &b"\n"[..],
        b"{}",
        b"[]",
        br#"{"Action":"start"}"#,
        br#"{"Action":"pause","Actor":{"ID":"a"}}"#,
        br#"{"Action":7,"Actor":{"ID":"a"}}"#,
    ] {
        assert_eq!(change(line), None, "{}", String::from_utf8_lossy(line));
    }
}
