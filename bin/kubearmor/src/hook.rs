//! `kubearmor hook`: what a container runtime calls before a container's first program runs, and after its last.
//!
//! It waits until the agent has the container's rules in force. A non-zero exit status keeps the container from
//! starting.

use std::{
    fs,
    io::{self, Read},
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use serde::Deserialize;
use workload::{
    Newcomer,
    hook::{AskError, Request, ask, socket},
    oci::{State, Status},
};

use crate::config::{Config, Sources, Verdict};

/// An agent that is restarted is there again within this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is read of a state or of a specification.
const LONGEST_STATE: u64 = 1 << 20;
const LONGEST_SPECIFICATION: u64 = 16 << 20;

/// What the agent left behind of its configuration, as far as it matters here.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failing {
    on_hook_failure: Verdict,
    /// What starts all the same, lest a node could never start its agent.
    untracked_ns: String,
}

/// Fails if the container must not start.
pub(crate) fn run(sources: &Sources) -> anyhow::Result<()> {
    let config = sources.load().or_else(|problem| {
        // A mistake in the file does not open anything: the defaults are closed.
        eprintln!("warning: {problem}; the defaults count instead of that file");
        Sources { file: None, ..sources.clone() }.load()
    });
    let config = config.context("the configuration cannot be read")?;
    let failing = failing(&config);
    let asked = read_request(io::stdin().lock()).and_then(|request| {
        let socket = socket(&config.run_dir);
        answered(&socket, &request, &failing, PATIENCE)
    });
    judged(asked, failing.on_hook_failure)
}

/// The keys in force, though the agent may be away; else what the configuration says.
fn failing(config: &Config) -> Failing {
    let in_force = fs::read(config.run_dir.join("config-in-force.json")).ok();
    in_force.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_else(|| Failing {
        on_hook_failure: config.on_hook_failure,
        untracked_ns: config.untracked_ns.clone(),
    })
}

fn read_request(state: impl Read) -> anyhow::Result<Request> {
    let mut text = Vec::new();
    state.take(LONGEST_STATE).read_to_end(&mut text).context("standard input")?;
    let state = State::read(&text)?;
    if state.status == Status::Stopped {
        return Ok(Request::Ended(state.id));
    }
    let path = state.specification();
    let mut text = Vec::new();
    fs::File::open(&path)
        .and_then(|file| file.take(LONGEST_SPECIFICATION).read_to_end(&mut text))
        .with_context(|| path.display().to_string())?;
    Ok(Request::Starting(state.newcomer(&text)?))
}

fn answered(
    socket: &Path,
    request: &Request,
    failing: &Failing,
    patience: Duration,
) -> anyhow::Result<()> {
    let starting = match request {
        Request::Starting(newcomer) => Some(newcomer),
        Request::Ended(_) => None,
    };
    let exempt = starting.is_some_and(|newcomer| is_untracked(newcomer, failing));
    let expected = starting.is_some() && !exempt && failing.on_hook_failure == Verdict::Deny;
    match (ask(socket, request, patience, expected), starting) {
        (Ok(()), _) => Ok(()),
        (Err(error @ AskError::Away { .. }), Some(newcomer)) if exempt => {
            eprintln!("warning: container {} starts ungoverned: {error}", newcomer.id);
            Ok(())
        }
        (Err(error), Some(newcomer)) => {
            Err(error).with_context(|| format!("container {}", newcomer.id))
        }
        (Err(error), None) => {
            // It has ended whether or not the agent hears of it.
            eprintln!("warning: {error}");
            Ok(())
        }
    }
}

fn is_untracked(newcomer: &Newcomer, failing: &Failing) -> bool {
    workload::is_listed(&newcomer.namespace(), &failing.untracked_ns)
}

fn judged(asked: anyhow::Result<()>, on_failure: Verdict) -> anyhow::Result<()> {
    match (asked, on_failure) {
        (Ok(()), _) => Ok(()),
        (Err(error), Verdict::Allow) => {
            eprintln!("warning: {error:#}; it starts all the same, as `onHookFailure` is allow");
            Ok(())
        }
        (Err(error), Verdict::Deny) => Err(error.context(
            "not started, since its rules are not in force (`onHookFailure: allow` would start it without them)",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const SPECIFICATION: &str =
        r#"{"root": {"path": "rootfs"}, "annotations": {"io.kubernetes.pod.namespace": "NS"}}"#;

    struct Bundle(tempfile::TempDir);

    impl Bundle {
        fn new(namespace: &str) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let text = SPECIFICATION.replace("NS", namespace);
            fs::write(directory.path().join("config.json"), text).unwrap();
            Self(directory)
        }

        fn state(&self, status: &str) -> String {
            let bundle = self.0.path().display();
            format!(r#"{{"id": "web", "pid": 42, "status": "{status}", "bundle": "{bundle}"}}"#)
        }

        /// The exit of a hook while no agent is there.
        fn without_agent(
            &self,
            status: &str,
            on_failure: Verdict,
            patience: Duration,
        ) -> anyhow::Result<()> {
            let failing =
                Failing { on_hook_failure: on_failure, untracked_ns: "kube-system".to_owned() };
            let asked = read_request(self.state(status).as_bytes())
                .and_then(|request| answered(&socket(self.0.path()), &request, &failing, patience));
            judged(asked, on_failure)
        }
    }

    #[test]
    fn without_an_agent_the_key_decides() {
        let bundle = Bundle::new("shop");
        let short = Duration::from_millis(150);
        let began = Instant::now();
        let error = bundle.without_agent("creating", Verdict::Deny, short).unwrap_err();
        assert!(began.elapsed() >= short / 2, "the agent may be restarting");
        let text = format!("{error:#}");
        for part in ["container web", "onHookFailure: allow", "hook.sock", "start it"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let long = Duration::from_mins(1);
        let began = Instant::now();
        bundle.without_agent("creating", Verdict::Allow, long).unwrap();
        assert!(began.elapsed() < long, "what may start anyway does not wait");
    }

    #[test]
    fn a_node_can_start_its_agent_and_end_containers() {
        let long = Duration::from_mins(1);
        Bundle::new("kube-system").without_agent("created", Verdict::Deny, long).unwrap();
        Bundle::new("shop").without_agent("stopped", Verdict::Deny, long).unwrap();
    }

    #[test]
    fn what_is_no_state_counts_as_a_failure() {
        for text in
            ["", "{}", r#"{"id": "a", "pid": 1, "status": "creating", "bundle": "/nowhere"}"#]
        {
            let asked = || read_request(text.as_bytes()).map(drop);
            assert!(judged(asked(), Verdict::Deny).is_err(), "{text}");
            assert!(judged(asked(), Verdict::Allow).is_ok(), "{text}");
        }
    }

    #[test]
    fn the_hook_that_is_shipped_calls_this_program_and_outwaits_it() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/hooks/kubearmor.json");
        let shipped: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let hook = &shipped["hook"];
        let arguments = hook["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
        let matches = crate::command_line::command().try_get_matches_from(arguments).unwrap();
        assert_eq!(matches.subcommand_name(), Some("hook"));
        assert!(hook["timeout"].as_u64().unwrap() > PATIENCE.as_secs());
        let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/systemd/kubearmor.service");
        let unit = fs::read_to_string(unit).unwrap();
        assert!(unit.contains(&format!("ExecStart={} agent", hook["path"].as_str().unwrap())));
    }

    #[test]
    fn the_keys_in_force_count_before_those_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { run_dir: directory.path().to_owned(), ..Config::default() };
        assert_eq!(failing(&config).on_hook_failure, Verdict::Deny);
        let changed = Config { on_hook_failure: Verdict::Allow, ..config.clone() };
        let file = directory.path().join("config-in-force.json");
        fs::write(&file, serde_json::to_vec(&changed).unwrap()).unwrap();
        assert_eq!(failing(&config).on_hook_failure, Verdict::Allow);
        fs::write(&file, "half").unwrap();
        assert_eq!(failing(&config).on_hook_failure, Verdict::Deny);
    }
}
