//! The plugin against a small runtime of our own, which speaks both framings over a pair of sockets.

use std::sync::Mutex;

use prost::Message as _;
use tokio::io::DuplexStream;

use super::{
    api::{
        ConfigureRequest, ConfigureResponse, Container, ContainerRequest, Empty, PodSandbox,
        RegisterPluginRequest, StateChangeEvent, SynchronizeRequest, ttrpc,
    },
    framing::{Message, REQUEST, RESPONSE, frame},
    *,
};
use crate::newcomer::Newcomer;

#[derive(Default)]
struct Fake {
    asked: Mutex<Vec<String>>,
    refuse: Mutex<Option<String>>,
    ungoverned: bool,
    delay: Duration,
}

impl Governor for Fake {
    async fn govern(&self, newcomer: Newcomer) -> Result<(), String> {
        sleep(self.delay).await;
        self.asked.lock().unwrap().push(format!("+{}@{}", newcomer.id, newcomer.pid));
        self.refuse.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    async fn ended(&self, id: String) {
        self.asked.lock().unwrap().push(format!("-{id}"));
    }

    async fn container_of(&self, _: PathBuf) -> Option<String> {
        None
    }

    async fn may_start_ungoverned(&self) -> bool {
        self.ungoverned
    }

    fn way(&self, _: Way, open: bool) {
        self.asked.lock().unwrap().push(format!("way {open}"));
    }
}

/// The runtime's end of a session.
struct Runtime {
    stream: DuplexStream,
    frames: Frames,
    messages: Messages,
    next_call: u32,
    fake: Arc<Fake>,
    session: tokio::task::JoinHandle<NriError>,
}

impl Runtime {
    fn start(fake: Fake) -> Self {
        let (stream, plugins) = tokio::io::duplex(64);
        let fake = Arc::new(fake);
        let mut session = Session::new(Arc::clone(&fake));
        let session = tokio::spawn(async move { session.run(plugins, "99").await });
        let (frames, messages) = (Frames::default(), Messages::default());
        Self { stream, frames, messages, next_call: 1, fake, session }
    }

    /// A runtime that has taken the plugin and configured it.
    async fn ready(fake: Fake) -> Self {
        let mut runtime = Self::start(fake);
        let (connection, message) = runtime.read().await;
        assert_eq!((connection, message.kind), (RUNTIME, REQUEST));
        let request = ttrpc::Request::decode(message.data.as_slice()).unwrap();
        assert_eq!(
            (request.service.as_str(), request.method.as_str()),
            ("nri.pkg.api.v1alpha1.Runtime", "RegisterPlugin")
        );
        let introduced = RegisterPluginRequest::decode(request.payload.as_slice()).unwrap();
        assert_eq!(
            (introduced.plugin_name.as_str(), introduced.plugin_idx.as_str()),
            ("kubearmor", "99")
        );
        runtime.register(message.stream, ttrpc::Status::default()).await;
        let request = ConfigureRequest { request_timeout: 400, ..ConfigureRequest::default() };
        let answer = runtime.call("Configure", &request).await.unwrap();
        assert_ne!(ConfigureResponse::decode(answer.as_slice()).unwrap().events, 0);
        runtime
    }

    async fn register(&mut self, stream: u32, status: ttrpc::Status) {
        let response = ttrpc::Response { status: Some(status), payload: Vec::new() };
        self.write(&frame(RUNTIME, stream, RESPONSE, &response.encode_to_vec())).await;
    }

    async fn write(&mut self, bytes: &[u8]) {
        // In pieces, as sockets do.
        for piece in bytes.chunks(5) {
            self.stream.write_all(piece).await.unwrap();
        }
    }

    async fn read(&mut self) -> (u32, Message) {
        let mut connection = 0;
        loop {
            if let Some(message) = self.messages.next().unwrap() {
                return (connection, message);
            }
            let mut piece = [0; 64];
            let length = self.stream.read(&mut piece).await.unwrap();
            assert_ne!(length, 0, "the plugin went away");
            self.frames.push(&piece[..length]);
            while let Some(frame) = self.frames.next().unwrap() {
                connection = frame.connection;
                self.messages.push(&frame.payload);
            }
        }
    }

    async fn call(
        &mut self,
        method: &str,
        payload: &impl prost::Message,
    ) -> Result<Vec<u8>, String> {
        let request = ttrpc::Request {
            service: "nri.pkg.api.v1alpha1.Plugin".into(),
            method: method.into(),
            payload: payload.encode_to_vec(),
            timeout_nano: 0,
        };
        let stream = self.next_call;
        self.next_call += 2;
        self.write(&frame(PLUGIN, stream, REQUEST, &request.encode_to_vec())).await;
        let (connection, message) = self.read().await;
        assert_eq!((connection, message.stream, message.kind), (PLUGIN, stream, RESPONSE));
        let response = ttrpc::Response::decode(message.data.as_slice()).unwrap();
        match response.status {
            Some(status) if status.code != 0 => Err(status.message),
            _ => Ok(response.payload),
        }
    }

    fn asked(&self) -> Vec<String> {
        self.fake.asked.lock().unwrap().clone()
    }
}

fn about(id: &str, pid: u32) -> ContainerRequest {
    let container =
        Container { id: id.into(), pid, pod_sandbox_id: "pod".into(), ..Container::default() };
    ContainerRequest { pod: None, container: Some(container) }
}

#[tokio::test]
async fn a_start_is_answered_when_the_container_is_governed() {
    let mut runtime = Runtime::ready(Fake::default()).await;
    runtime.call("StartContainer", &about("web", 42)).await.unwrap();
    assert_eq!(runtime.asked(), ["way true", "+web@42"]);
    let container = about("db", 43).container;
    let event = StateChangeEvent { event: 6, pod: None, container };
    runtime.call("StateChange", &event).await.unwrap();
    runtime.call("RemoveContainer", &about("web", 0)).await.unwrap();
    assert_eq!(runtime.asked()[2..], ["+db@43", "-web"]);
}

#[tokio::test]
async fn containers_that_exist_are_governed_without_holding_up_the_runtime() {
    let delay = Duration::from_millis(30);
    let mut runtime = Runtime::ready(Fake { delay, ..Fake::default() }).await;
    let pods = vec![PodSandbox { id: "pod".into(), ..PodSandbox::default() }];
    let containers = [about("one", 1), about("two", 2)];
    let containers = containers.into_iter().filter_map(|request| request.container).collect();
    runtime
        .call("Synchronize", &SynchronizeRequest { pods, containers, more: false })
        .await
        .unwrap();
    assert_eq!(runtime.asked(), ["way true"]);
    while runtime.asked().len() < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(runtime.asked(), ["way true", "+one@1", "+two@2"]);
}

#[tokio::test]
async fn a_container_whose_rules_are_not_in_force_starts_only_where_it_may() {
    let refuse = || Mutex::new(Some("no room".to_owned()));
    let mut runtime = Runtime::ready(Fake { refuse: refuse(), ..Fake::default() }).await;
    assert_eq!(runtime.call("StartContainer", &about("web", 42)).await, Err("no room".into()));
    let open = Fake { refuse: refuse(), ungoverned: true, ..Fake::default() };
    let mut runtime = Runtime::ready(open).await;
    assert!(runtime.call("StartContainer", &about("web", 42)).await.is_ok());
}

#[tokio::test]
async fn the_runtime_has_its_answer_before_it_gives_the_plugin_up() {
    let slow = Fake { delay: Duration::from_mins(1), ..Fake::default() };
    let mut runtime = Runtime::ready(slow).await;
    let why = runtime.call("StartContainer", &about("web", 42)).await.unwrap_err();
    assert_eq!(why, "no rules within 300 ms");
    assert!(runtime.call("Shutdown", &Empty {}).await.is_ok(), "the session goes on");
}

#[tokio::test]
async fn a_call_that_cannot_be_served_is_answered_and_the_next_one_is_served() {
    let mut runtime = Runtime::ready(Fake::default()).await;
    assert_eq!(runtime.call("Grow", &Empty {}).await, Err("Grow is not known".into()));
    let garbled = ttrpc::Status { code: 5, message: "no container".into() };
    assert!(runtime.call("StartContainer", &garbled).await.is_err());
    // A logical connection that nobody opened, and a response to nothing.
    runtime.write(&frame(7, 1, REQUEST, b"who listens?")).await;
    runtime.write(&frame(PLUGIN, 99, RESPONSE, b"")).await;
    assert!(runtime.call("StartContainer", &about("web", 42)).await.is_ok());
    assert_eq!(runtime.asked(), ["way true", "+web@42"]);
}

#[tokio::test]
async fn the_session_ends_with_a_reason() {
    let mut refusing = Runtime::start(Fake::default());
    let (_, message) = refusing.read().await;
    let status = ttrpc::Status { code: 9, message: "no such index".into() };
    refusing.register(message.stream, status).await;
    let why = refusing.session.await.unwrap().to_string();
    assert_eq!(why, "the runtime does not take the plugin: no such index");

    let mut endless = Runtime::ready(Fake::default()).await;
    endless.write(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]).await;
    assert!(matches!(endless.session.await.unwrap(), NriError::Framing(_)));

    let gone = Runtime::ready(Fake::default()).await;
    drop(gone.stream);
    assert!(matches!(gone.session.await.unwrap(), NriError::Ended));
}

#[tokio::test]
async fn a_runtime_that_comes_back_is_served_again() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("nri.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let fake = Arc::new(Fake::default());
    let serving = tokio::spawn(serve(Some(socket), "07".into(), Arc::clone(&fake)));
    for _ in 0..2 {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut first = [0; 4];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(first, RUNTIME.to_be_bytes());
    }
    serving.abort();
}
