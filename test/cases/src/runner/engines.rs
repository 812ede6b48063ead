//! Docker and Podman, for cases that require them: ready with an image `testbed/alpine` before such a case begins.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::rootfs::Images;
use crate::{
    format::{Case, Rootfs},
    requirement::Requirement,
};

const WORK: &str = "/run/cases";
/// A directory of hooks for `podman run --hooks-dir`.
const HOOKS: &str = "/run/cases/hooks.d";
const DOCKER_LOG: &str = "/run/cases/dockerd.log";
/// Docker starts slowly on an emulated processor.
const START: Duration = Duration::from_mins(3);

#[derive(Default)]
pub(crate) struct Engines {
    docker: Option<Child>,
    podman: bool,
}

impl Engines {
    /// Starts what the case requires and does not run yet. `hooks` is what a specification says of hooks.
    pub(crate) fn make_ready(
        &mut self,
        case: &Case,
        images: &mut Images,
        hooks: &Value,
    ) -> Result<()> {
        // A case may have ended it.
        let runs = matches!(self.docker.as_mut().map(Child::try_wait), Some(Ok(None)));
        if case.requires.contains(&Requirement::Docker) && !runs {
            self.docker = Some(start_docker().context("Docker")?);
            import(&["docker", "import"], images).context("Docker's image")?;
        }
        if case.requires.contains(&Requirement::Podman) && !self.podman {
            write_hook(hooks).context("Podman's hook")?;
            import(&["podman", "import", "--quiet"], images).context("Podman's image")?;
            self.podman = true;
        }
        Ok(())
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        let Some(mut docker) = self.docker.take() else { return };
        if let Some(pid) = i32::try_from(docker.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = docker.wait();
    }
}

/// Beside the containerd that runs, without networks, and so that containers outlive it.
fn start_docker() -> Result<Child> {
    fs::create_dir_all(WORK)?;
    let log = File::create(DOCKER_LOG)?;
    let mut daemon = Command::new("dockerd")
        .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--live-restore"])
        .arg("--containerd=/run/containerd/containerd.sock")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start `dockerd`")?;
    let since = Instant::now();
    loop {
        let answers = Command::new("docker")
            .arg("version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if answers.success() {
            return Ok(daemon);
        }
        let ended = daemon.try_wait()?.is_some();
        if ended || since.elapsed() > START {
            let _ = daemon.kill();
            bail!("dockerd does not answer: {}", fs::read_to_string(DOCKER_LOG)?);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn import(command: &[&str], images: &mut Images) -> Result<()> {
    let tree = images.directory(Rootfs::Alpine)?;
    let mut archive = Command::new("tar")
        .arg("-C")
        .arg(tree)
        .args(["-c", "."])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let content = archive.stdout.take().context("tar's output")?;
    let output = Command::new(command[0])
        .args(&command[1..])
        .args(["-", "testbed/alpine"])
        .stdin(content)
        .output()?;
    ensure!(
        output.status.success() && archive.wait()?.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// A file as [`deploy/hooks/kubearmor.json`], with the agent under test in it.
fn write_hook(hooks: &Value) -> Result<()> {
    let hook = serde_json::json!({
        "version": "1.0.0",
        "hook": hooks["createRuntime"][0],
        "when": {"always": true},
        "stages": ["createRuntime", "poststop"],
    });
    fs::create_dir_all(HOOKS)?;
    Ok(fs::write(Path::new(HOOKS).join("kubearmor.json"), hook.to_string())?)
}
