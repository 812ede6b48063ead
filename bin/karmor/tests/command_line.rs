//! The program itself against an agent's services in this process.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
};

use feed::{
    Feed, FeedOptions, Level, PolicyAnswer, PolicyHandler, PolicyStatus, ProbeData, ProbeResponse,
    Services, listen, serve,
};
use policy::Kind;
use telemetry::{Alert, Log};
use tokio::runtime::Runtime;

/// Refuses texts that say `broken`, applies the others, and remembers all.
#[derive(Default)]
struct Agent {
    seen: Mutex<Vec<(Kind, String)>>,
}

#[feed::async_trait]
impl PolicyHandler for Agent {
    async fn apply(&self, bytes: Vec<u8>, kind: Kind) -> PolicyAnswer {
        let text = String::from_utf8(bytes).unwrap();
        self.seen.lock().unwrap().push((kind, text.clone()));
        if text.contains("broken") {
            return PolicyAnswer {
                status: PolicyStatus::Invalid,
                message: "policy:3:9: error[x]: spec.action: no such action".into(),
            };
        }
        let deleted = text.contains("DELETED");
        let status = if deleted { PolicyStatus::Deleted } else { PolicyStatus::Applied };
        PolicyAnswer {
            status,
            message: "not enforced: spec.apparmor: only AppArmor enforces its native rules".into(),
        }
    }
}

#[feed::async_trait]
impl ProbeData for Agent {
    async fn probe(&self) -> ProbeResponse {
        ProbeResponse { container_list: vec!["teller".into()], ..ProbeResponse::default() }
    }
}

struct Server {
    feed: Feed,
    agent: Arc<Agent>,
    address: String,
    _runtime: Runtime,
}

fn start() -> Server {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(listen(([127, 0, 0, 1], 0).into(), "gRPC")).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let feed = Feed::new(FeedOptions::default());
    let agent = Arc::new(Agent::default());
    let services = Services {
        policies: Some(agent.clone()),
        probe: Some(agent.clone()),
        policies_from_anyone: true,
    };
    runtime.spawn(serve(listener, feed.clone(), services, std::future::pending()));
    Server { feed, agent, address, _runtime: runtime }
}

impl Server {
    fn karmor(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_karmor"));
        command
            .args(args)
            .env("KUBEARMOR_SERVICE", &self.address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str], input: &str) -> Output {
        let mut child = self.karmor(args).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// `karmor logs`, once it listens.
    fn watch(&self, args: &[&str]) -> Child {
        let mut child = self.karmor(&[&["logs"], args].concat()).spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.as_mut().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        assert_eq!(line, format!("watching {}\n", self.address));
        child
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn alert(policy: &str, container: &str) -> Alert {
    let event = Log { container_name: container.into(), ..Log::default() };
    Alert { event, policy_name: policy.into(), ..Alert::default() }
}

const TWO_POLICIES: &str = "\
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: one, namespace: bank}
spec: {file: {matchPaths: [{path: /srv/x}]}, action: Block}
---
apiVersion: security.kubearmor.com/v1
kind: KubeArmorHostPolicy
metadata: {name: two}
spec: {nodeSelector: {matchLabels: {a: b}}, file: {matchPaths: [{path: /srv/x}]}, action: Block}
";

#[test]
fn logs_print_one_object_per_line_and_end_at_the_limit() {
    let server = start();
    let child = server.watch(&["--json", "--limit", "2", "--container", "TELLER"]);
    let _ = server.feed.publish_alert(alert("other", "clerk"));
    let _ = server.feed.publish_alert(alert("ledger", "teller"));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(
        text(&output.stdout),
        "{\"ContainerName\":\"teller\",\"PPID\":0,\"UID\":0,\"PolicyName\":\"ledger\"}\n"
    );
}

#[test]
fn both_streams_reach_their_limit_and_messages_go_their_own_way() {
    let server = start();
    let directory = tempfile::tempdir().unwrap();
    let messages = directory.path().join("messages");
    let child = server.watch(&[
        "--logFilter",
        "all",
        "--limit",
        "1",
        "--msgPath",
        messages.to_str().unwrap(),
    ]);
    server.feed.publish_message(Level::Warn, "take care");
    let _ = server.feed.publish_alert(alert("ledger", "teller"));
    let log = Log { container_name: "clerk".into(), ..Log::default() };
    let _ = server.feed.publish_log(log);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let shown = text(&output.stdout);
    assert!(shown.contains("== Alert / ") && shown.contains("PolicyName: ledger\n"), "{shown}");
    assert!(shown.contains("== Log / ") && shown.contains("ContainerName: clerk\n"), "{shown}");
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let server = start();
    let mut child = server.watch(&["--json"]);
    drop(child.stdout.take());
    // A test beside this one that is about to start a program has the pipe open for a moment, too.
    let status = loop {
        let _ = server.feed.publish_alert(alert("ledger", "teller"));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::yield_now();
    };
    assert!(status.success());
}

#[test]
fn an_agent_that_goes_away_is_a_failure() {
    let server = start();
    let mut child = server.watch(&[]);
    server.feed.close();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(errors.contains("ended the stream"), "{errors}");
}

#[test]
fn policies_go_one_by_one_as_they_are_written() {
    let server = start();
    let output = server.run(&["vm", "policy", "add", "-"], TWO_POLICIES);
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), "Policy Applied\nPolicy Applied\n");
    assert_eq!(
        text(&output.stderr).lines().next(),
        Some("not enforced: spec.apparmor: only AppArmor enforces its native rules")
    );
    let seen = server.agent.seen.lock().unwrap();
    let [(first, one), (second, two)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((*first, *second), (Kind::Container, Kind::Host));
    assert!(TWO_POLICIES.starts_with(one.as_str()));
    assert!(two.starts_with("\n\n\n\n\napiVersion"));
}

#[test]
fn a_refused_policy_fails_with_the_place_in_its_file() {
    let server = start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bad.yaml");
    std::fs::write(&file, "kind: KubeArmorPolicy\nbroken: yes\n").unwrap();
    let file = file.to_str().unwrap();
    let output = server.run(&["vm", "policy", "add", file], "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "Policy Invalid\n");
    assert!(text(&output.stderr).starts_with(&format!("{file}:3:9: error")));
}

#[test]
fn deleting_sends_what_identifies_the_policy() {
    let server = start();
    let output = server.run(&["vm", "policy", "delete", "-"], TWO_POLICIES);
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), "Policy Deleted\nPolicy Deleted\n");
    let seen = server.agent.seen.lock().unwrap();
    assert!(seen[0].1.contains(r#""name":"one""#) && seen[0].1.contains("DELETED"));
    assert_eq!(seen[1].0, Kind::Host);
}

#[test]
fn probe_asks_the_agent() {
    let server = start();
    let output = server.run(&["probe", "-f", "json"], "");
    assert!(output.status.success());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["Probe Data"]["ArmoredContainers"]["teller"], serde_json::json!([]));
}

#[test]
fn without_an_agent_there_is_a_hint_and_probe_looks_at_the_host() {
    let server = start();
    let nowhere = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().to_string()
    };
    let output = server.run(&["logs", "--gRPC", &nowhere], "");
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output.stderr);
    assert!(errors.contains(&nowhere) && errors.contains("hint:"), "{errors}");
    let output = server.run(&["probe", "-f", "json", "--gRPC", &nowhere], "");
    assert!(output.status.success());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(json["Probe Data"]["Host"]["KernelVersion"].is_string());
}

#[test]
fn wrong_usage_has_its_own_status() {
    let server = start();
    assert_eq!(server.run(&["logs", "--container", "("], "").status.code(), Some(2));
    assert_eq!(server.run(&["vm", "policy", "add"], "").status.code(), Some(2));
}

#[test]
fn completions_and_manual_pages() {
    let server = start();
    let output = server.run(&["completion", "bash"], "");
    assert!(text(&output.stdout).contains("karmor"));
    let directory = tempfile::tempdir().unwrap();
    let output = server.run(&["man", directory.path().to_str().unwrap()], "");
    assert!(output.status.success());
    for command in ["logs", "profile", "top", "summary", "sysdump", "vm-policy-add"] {
        let page = directory.path().join(format!("karmor-{command}.1"));
        assert!(std::fs::read_to_string(page).unwrap().contains("gRPC"), "{command}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let output = server.run(&["completion", shell], "");
        let script = text(&output.stdout);
        for word in ["profile", "top", "summary", "sysdump", "duration", "runDir"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn answers_for_programs() {
    let server = start();
    let json = |arguments: &[&str], input: &str| -> Vec<serde_json::Value> {
        let output = server.run(arguments, input);
        assert!(output.status.success());
        let values = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
        values.map(Result::unwrap).collect()
    };
    assert_eq!(json(&["version", "--json"], "")[0]["OS"], "linux");
    assert!(json(&["probe", "--json"], "")[0]["Probe Data"]["ArmoredContainers"].is_object());
    let answers = json(&["vm", "policy", "add", "--json", "-"], TWO_POLICIES);
    assert_eq!(answers.len(), 2);
    assert_eq!((&answers[1]["File"], &answers[1]["Status"]), (&"stdin".into(), &"Applied".into()));
    let said = answers[0]["Messages"][0].as_str().unwrap();
    assert!(said.starts_with("not enforced"), "{said}");
}
