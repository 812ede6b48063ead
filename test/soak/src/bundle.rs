//! Containers without a daemon: one bundle whose root file system is a directory with one static program, and the
//! runtime that is called on it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::rules;

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
}

impl Bundle {
    /// Makes a bundle whose containers run the probe with these arguments.
    pub(crate) fn make(runtime: &Path, name: &str, probe: &[&str]) -> Result<Self> {
        let place = Path::new(PLACE).join(name);
        let root = place.join("rootfs");
        for directory in ["", "proc", "dev", "sys"] {
            fs::create_dir_all(root.join(directory)).with_context(|| root.display().to_string())?;
        }
        fs::copy(PROBE, root.join("probe")).context(PROBE)?;
        for file in [SECRET, NOTE] {
            fs::write(root.join(file.trim_start_matches('/')), "x")?;
        }
        let mut argv = vec!["/probe"];
        argv.extend(probe);
        fs::write(place.join("config.json"), specification(&argv).to_string())?;
        Ok(Self { runtime: runtime.to_owned(), place })
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
        let start = match status.code() {
            Some(EACCES) => Start::Refused,
            Some(0) => Start::Opened,
            _ => {
                let said = fs::read_to_string(&words).unwrap_or_default();
                Start::Failed(format!("{status}: {}", said.trim()))
            }
        };
        fs::remove_file(&words)?;
        Ok(start)
    }
}

fn specification(argv: &[&str]) -> serde_json::Value {
    let (label, value) = rules::LABEL;
    let hook = json!([{"path": AGENT, "args": ["kubearmor", "hook"], "timeout": HOOK_SECONDS}]);
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
        "hooks": {"createRuntime": hook, "poststop": hook},
        "linux": {"namespaces": namespaces},
    })
}
