//! Containers without a daemon: one bundle whose root file system is a directory with one static program, and the
//! runtime that is called on it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{rules, starter};

const PLACE: &str = "/srv/soak";
const STATE: &str = "/run/soak-runtime";
const PROBE: &str = "/usr/local/bin/probe";
const AGENT: &str = "/usr/local/bin/kubearmor";
/// Longer than a hook waits for the agent.
const HOOK_SECONDS: u32 = 60;

/// The file that is forbidden, as the container sees it.
pub(crate) const SECRET: &str = "/secret";
/// One that is not.
pub(crate) const NOTE: &str = "/note";
/// The exit status of a probe that was refused.
const EACCES: i32 = 13;

/// What became of a start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The container's program was refused what is forbidden.
    Refused,
    /// It got it.
    Opened,
    /// The runtime's words.
    Failed(String),
}

/// A bundle and the runtime for it. Containers of one bundle differ by their ids only.
#[derive(Debug)]
pub(crate) struct Bundle {
    runtime: PathBuf,
    place: PathBuf,
    argv: Vec<String>,
    /// Its hooks ask the agent.
    asks: bool,
}

impl Bundle {
    /// Makes a bundle whose containers run the probe with these arguments.
    pub(crate) fn make(runtime: &Path, name: &str, probe: &[&str]) -> Result<Self> {
        Self::with(runtime, name, probe, &hooks())
    }

    /// As [`Bundle::make`], but nobody asks the agent.
    pub(crate) fn without_hooks(runtime: &Path, name: &str, probe: &[&str]) -> Result<Self> {
        Self::with(runtime, name, probe, &json!({}))
    }

    fn with(runtime: &Path, name: &str, probe: &[&str], hooks: &Value) -> Result<Self> {
        let place = Path::new(PLACE).join(name);
        let root = place.join("rootfs");
        for directory in ["", "proc", "dev", "sys"] {
            fs::create_dir_all(root.join(directory)).with_context(|| root.display().to_string())?;
        }
        fs::copy(PROBE, root.join("probe")).context(PROBE)?;
        for file in [SECRET, NOTE] {
            fs::write(root.join(file.trim_start_matches('/')), "x")?;
        }
        let argv: Vec<_> = ["/probe"].iter().chain(probe).map(ToString::to_string).collect();
        fs::write(place.join("config.json"), specification(&argv, hooks).to_string())?;
        Ok(Self {
            runtime: runtime.to_owned(),
            place,
            argv,
            asks: hooks.get("createRuntime").is_some(),
        })
    }

    /// A container of this id from beginning to end, not started yet.
    pub(crate) fn run(&self, id: &str) -> Command {
        let mut command = Command::new(&self.runtime);
        command.args(["--root", STATE, "run", "--bundle"]).arg(&self.place).arg(id);
        command.stdin(Stdio::null());
        command
    }

    /// Starts a container that stays until [`Bundle::end`].
    pub(crate) fn begin(&self, id: &str) -> Result<()> {
        self.call(&["run", "--detach", "--bundle"], Some(&self.place), id)
    }

    /// Ends and removes it.
    pub(crate) fn end(&self, id: &str) -> Result<()> {
        self.call(&["delete", "--force"], None, id)
    }

    fn call(&self, words: &[&str], place: Option<&Path>, id: &str) -> Result<()> {
        let mut command = Command::new(&self.runtime);
        command.args(["--root", STATE]).args(words).args(place).arg(id);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.status().with_context(|| self.runtime.display().to_string())?;
        ensure!(status.success(), "`{}` of container {id} ended with {status}", words[0]);
        Ok(())
    }

    /// Runs a container whose program is refused what is forbidden, or is not.
    pub(crate) fn start(&self, id: &str) -> Result<Start> {
        // A file, since a pipe that some process of the container has left open would be read for ever.
        let words = self.place.join(format!("{id}.log"));
        let log = File::create(&words)?;
        let mut command = self.run(id);
        let status = command.stdout(Stdio::null()).stderr(log).status();
        let status = status.with_context(|| self.runtime.display().to_string())?;
        let said = fs::read_to_string(&words).unwrap_or_default();
        fs::remove_file(&words)?;
        Ok(judged(status, said.trim()))
    }

    /// As [`Bundle::start`], by the runtime of our own.
    pub(crate) fn start_by_own(&self, id: &str) -> Result<Start> {
        let status = starter::run(&self.place, id, &self.argv, self.asks)?;
        Ok(judged(status, ""))
    }

    /// Tells the agent that a container of this id has ended, as a runtime does.
    pub(crate) fn tell_end(&self, id: &str) -> Result<()> {
        starter::tell(&self.place, id, None)
    }
}

fn judged(status: ExitStatus, said: &str) -> Start {
    match status.code() {
        Some(EACCES) => Start::Refused,
        Some(0) => Start::Opened,
        _ => Start::Failed(format!("{status}: {said}")),
    }
}

fn hooks() -> Value {
    let hook = json!([{"path": AGENT, "args": ["kubearmor", "hook"], "timeout": HOOK_SECONDS}]);
    json!({"createRuntime": hook, "poststop": hook})
}

fn specification(argv: &[String], hooks: &Value) -> Value {
    let (label, value) = rules::LABEL;
    let namespaces = ["pid", "mount", "ipc", "uts"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": argv,
            "env": ["PATH=/"],
            "cwd": "/",
        },
        "root": {"path": "rootfs", "readonly": true},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "annotations": {
            "kubearmor.io/namespace": "default",
            "io.kubernetes.cri-o.Labels": json!({label: value}).to_string(),
        },
        "hooks": hooks,
        "linux": {"namespaces": namespaces},
    })
}
