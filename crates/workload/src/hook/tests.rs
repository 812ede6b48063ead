//! Both sides over a real socket, and everything in between that may go wrong.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use super::*;
use crate::governor::{Governor, Way};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Fake {
    asked: Mutex<Vec<String>>,
    refuse: Option<String>,
    delay: Duration,
}

impl Governor for Fake {
    async fn govern(&self, newcomer: Newcomer) -> Result<(), String> {
        tokio::time::sleep(self.delay).await;
        self.asked.lock().unwrap().push(format!("+{}@{}", newcomer.id, newcomer.pid));
        self.refuse.clone().map_or(Ok(()), Err)
    }

    async fn ended(&self, id: String) {
        self.asked.lock().unwrap().push(format!("-{id}"));
    }

    async fn container_of(&self, _: PathBuf) -> Option<String> {
        None
    }

    async fn may_start_ungoverned(&self) -> bool {
        false
    }

    fn way(&self, way: Way, open: bool) {
        assert!(way == Way::Hook && open);
    }
}

struct Agent {
    directory: tempfile::TempDir,
    fake: Arc<Fake>,
    _runtime: tokio::runtime::Runtime,
}

impl Agent {
    fn start(fake: Fake) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fake = Arc::new(fake);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.spawn(listen(socket(directory.path()), Arc::clone(&fake)));
        let agent = Self { directory, fake, _runtime: runtime };
        while !agent.socket().exists() {
            thread::yield_now();
        }
        agent
    }

    fn socket(&self) -> PathBuf {
        socket(self.directory.path())
    }

    fn ask(&self, request: &Request) -> Result<(), AskError> {
        ask(&self.socket(), request, PATIENCE, true)
    }

    fn asked(&self) -> Vec<String> {
        self.fake.asked.lock().unwrap().clone()
    }

    /// What comes back for bytes that are no request.
    fn answer_to(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        // The agent may stop reading before all is written.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text
    }
}

fn starting(id: &str) -> Request {
    Request::Starting(Newcomer { id: id.into(), pid: 42, ..Newcomer::default() })
}

#[test]
fn a_hook_gets_its_answer_when_the_container_is_governed() {
    let delay = Duration::from_millis(50);
    let agent = Agent::start(Fake { delay, ..Fake::default() });
    let began = Instant::now();
    agent.ask(&starting("web")).unwrap();
    assert!(began.elapsed() >= delay);
    agent.ask(&Request::Ended("web".into())).unwrap();
    assert_eq!(agent.asked(), ["+web@42", "-web"]);
}

#[test]
fn the_reason_of_a_refusal_reaches_the_hook() {
    let agent = Agent::start(Fake { refuse: Some("no room".into()), ..Fake::default() });
    let error = agent.ask(&starting("web")).unwrap_err();
    assert_eq!(error.to_string(), "the agent says: no room");
}

#[test]
fn a_container_does_not_tell_what_containers_are() {
    let told = |id: &str| Newcomer { id: id.into(), pid: 42, ..Newcomer::default() };
    assert_eq!(listen::from_inside("web", &told("web")), Ok(()));
    let error = listen::from_inside("web", &told("db")).unwrap_err();
    assert_eq!(error, "the container web does not tell of containers");
}

#[test]
fn an_agent_that_is_away_is_waited_for_only_if_it_is_expected() {
    let directory = tempfile::tempdir().unwrap();
    let socket = socket(directory.path());
    let ask = |patience, expected| {
        let began = Instant::now();
        let error = ask(&socket, &starting("web"), patience, expected).unwrap_err();
        assert!(matches!(error, AskError::Away { .. }), "{error}");
        assert!(error.to_string().contains("hook.sock") && error.to_string().contains("start it"));
        began.elapsed()
    };
    assert!(ask(PATIENCE, false) < PATIENCE);
    let patience = Duration::from_millis(200);
    assert!(ask(patience, true) >= patience / 2);
    // What a killed agent leaves behind.
    drop(UnixListener::bind(&socket).unwrap());
    assert!(ask(PATIENCE, false) < PATIENCE);
}

#[test]
fn an_agent_that_is_slow_is_not_waited_for_longer_than_allowed() {
    let agent = Agent::start(Fake { delay: PATIENCE * 10, ..Fake::default() });
    let error = ask(&agent.socket(), &starting("web"), Duration::from_millis(100), true);
    assert!(matches!(error, Err(AskError::Slow { .. })), "{error:?}");
}

#[test]
fn a_peer_that_is_no_agent_is_an_error() {
    for (answer, what) in [("{\"grown\": 1}\n", "same version"), ("", "ended the connection")] {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(socket(directory.path())).unwrap();
        let peer = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 16];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            // Kept open until the request is read, so that the end is an end and not a reset.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let error = ask(&socket(directory.path()), &starting("web"), PATIENCE, false).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        peer.join().unwrap();
    }
}

#[test]
fn hostile_requests_are_refused_and_the_next_hook_is_heard() {
    let agent = Agent::start(Fake::default());
    let long = vec![b'a'; LONGEST_LINE + 1];
    let nested = "[".repeat(LONGEST_LINE - 1) + "\n";
    for bytes in [b"\n".as_slice(), b"{}\n", b"{\"starting\": 1}\n", b"{", &long, nested.as_bytes()]
    {
        let answer = agent.answer_to(bytes);
        assert!(answer.is_empty() || answer.starts_with("{\"refused\":"), "{answer}");
    }
    assert!(agent.asked().is_empty());
    agent.ask(&starting("web")).unwrap();
}

#[test]
fn only_root_gets_to_the_socket() {
    use std::os::unix::fs::PermissionsExt as _;
    let agent = Agent::start(Fake::default());
    agent.ask(&starting("web")).unwrap();
    let mode = std::fs::metadata(agent.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
