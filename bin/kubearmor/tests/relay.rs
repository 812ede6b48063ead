//! The program as a relay of listed agents: what they tell reaches a client and standard output.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use feed::{Feed, FeedOptions, Services, client::Client, listen, serve};
use rustix::process::{Pid, Signal, kill_process};
use telemetry::{Alert, Log};

/// Nothing here takes long; what hangs is a failure.
fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "it hangs");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The port that it has taken.
fn port(state: &Path) -> Option<u16> {
    std::fs::read_to_string(state.join("kubearmor.pid")).ok()?.trim().parse().ok()
}

#[test]
fn listed_agents_are_relayed_until_it_is_told_to_end() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(listen(([127, 0, 0, 1], 0).into(), "gRPC")).unwrap();
    let agent = listener.local_addr().unwrap().to_string();
    let feed = Feed::new(FeedOptions::default());
    runtime.spawn(serve(listener, feed.clone(), Services::default(), std::future::pending()));
    let state = tempfile::tempdir().unwrap();
    let mut relay = Command::new(env!("CARGO_BIN_EXE_kubearmor"))
        .args(["relay", "-gRPCPort=0", "--gRPCHealthPort", "0", "--metricsPort", "0"])
        .args(["--agents", &agent, "--stateDir", state.path().to_str().unwrap()])
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env_remove("KUBEARMOR_CFG")
        .env("ENABLE_STDOUT_ALERTS", "true")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until(|| feed.streams().iter().all(|stream| stream.listeners == 1).then_some(()));
    let port = until(|| port(state.path()));
    runtime.block_on(async {
        let client = Client::connect(&format!("127.0.0.1:{port}")).await.unwrap();
        let mut alerts = client.alerts("all").await.unwrap();
        let event = Log { host_name: "n1".into(), ..Log::default() };
        let _ = feed.publish_alert(Alert { policy_name: "p".into(), event, ..Alert::default() });
        let told = tokio::time::timeout(Duration::from_mins(1), alerts.message()).await.unwrap();
        assert_eq!(told.unwrap().unwrap().host_name, "n1");
    });
    let mut lines = BufReader::new(relay.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    assert!(
        line.contains("\"HostName\":\"n1\"") && line.contains("\"PolicyName\":\"p\""),
        "{line}"
    );
    kill_process(Pid::from_child(&relay), Signal::TERM).unwrap();
    assert!(relay.wait().unwrap().success());
}
