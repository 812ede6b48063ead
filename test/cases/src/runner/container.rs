//! Containers of a case: made by containerd, entered by its runtime.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    program::{Ended, Program},
    rootfs::{Images, Root},
    spec,
};
use crate::format::Container;

/// State of containerd's tasks and of the runtime below them, in the namespace `default`.
const TASKS: &str = "/run/containerd/io.containerd.runtime.v2.task/default";
const RUNTIME: &str = "/run/containerd/runc/default";
/// Until the main process has been executed.
const START: Duration = Duration::from_secs(30);

/// One life of a container; its end removes all that it wrote.
pub(crate) struct Life {
    id: String,
    declared: Container,
    root: Root,
    pid: Option<u32>,
}

impl Life {
    /// Everything that comes before the start.
    pub(crate) fn prepare(declared: &Container, number: u32, images: &mut Images) -> Result<Self> {
        // As long and as random-looking as real ones need not be, but different for each life.
        let id = format!("{}-{}-{number}", declared.name, std::process::id());
        let root = Root::make(declared, &id, images)
            .with_context(|| format!("root file system of container {}", declared.name))?;
        Ok(Self { id, declared: declared.clone(), root, pid: None })
    }

    /// Ends when the main process has been executed (exit 0) or was refused.
    pub(crate) fn start(&mut self, environment: &[(&str, String)], hooks: &Value) -> Result<Ended> {
        let Self { id, declared, root, .. } = self;
        let shared_memory = root.shared_memory().map(|path| path.display().to_string());
        let mut specification = spec::container(
            declared,
            id,
            &root.path().display().to_string(),
            shared_memory.as_deref(),
            environment,
        );
        specification["hooks"] = hooks.clone();
        let config = root.beside("spec.json");
        fs::write(&config, specification.to_string())?;
        let mut command = Command::new("ctr");
        command.args(["run", "--detach", "--null-io", "--config"]).arg(&config);
        for (key, value) in labels(declared) {
            command.args(["--label", &format!("{key}={value}")]);
        }
        command.arg(&id);
        let ended = run(command)?;
        if ended.exit != 0 {
            return Ok(ended);
        }
        let pid = fs::read_to_string(Path::new(TASKS).join(&self.id).join("init.pid"))
            .context("the container has no process")?;
        let pid = pid.trim().parse().context("the container's process has no number")?;
        self.pid = Some(pid);
        Ok(Ended { exit: await_execution(pid), ..ended })
    }

    /// The main process as the host numbers it.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// A program in the container, not started yet.
    pub(crate) fn program(
        &self,
        argv: &[String],
        uid: u32,
        tty: bool,
        environment: &[(&str, String)],
    ) -> Result<Command> {
        ensure!(self.pid.is_some(), "the container {} does not run", self.declared.name);
        let process = spec::process(&self.declared, argv, uid, tty, environment);
        let file = self.root.beside("process.json");
        write_new(&file, &process)?;
        let mut command = Command::new("runc");
        command.args(["--root", RUNTIME, "exec", "--process"]).arg(file).arg(&self.id);
        Ok(command)
    }

    /// Ends the container and removes it.
    pub(crate) fn end(self) -> Result<()> {
        // A task that was never made needs no end.
        let mut task = Command::new("ctr");
        task.args(["task", "rm", "--force", &self.id]);
        run(task)?;
        let mut container = Command::new("ctr");
        container.args(["container", "rm", &self.id]);
        run(container)?;
        Ok(())
    }
}

/// Runs a command to its end.
fn run(command: Command) -> Result<Ended> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ended = match Program::start(command, false)? {
        Ok(program) => program.finish().with_context(|| name.clone())?,
        Err(ended) => ended,
    };
    ensure!(ended.exit != 127, "cannot start `{name}`: is it installed?");
    Ok(ended)
}

/// The file may be read by a program that is just being started.
fn write_new(file: &Path, process: &Value) -> Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, process.to_string())?;
    Ok(fs::rename(new, file)?)
}

/// What a client of containerd says about a container: whose it is, and the labels that policies select.
fn labels(container: &Container) -> Vec<(String, String)> {
    let own = [
        ("kubearmor.io/namespace", &container.namespace),
        ("kubearmor.io/container.name", &container.name),
    ];
    let own = own.into_iter().map(|(key, value)| (key.to_owned(), value.clone()));
    own.chain(container.labels.clone()).collect()
}

/// 0 once the process is the container's own program, 1 if it ended before.
fn await_execution(pid: u32) -> i32 {
    let since = Instant::now();
    while since.elapsed() < START {
        match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) if is_dead(&stat) => return 1,
            Ok(stat) if stat.contains("(runc:[") => {}
            Ok(_) => return 0,
            Err(_) => return 1,
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    1
}

fn is_dead(stat: &str) -> bool {
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zombie_is_dead() {
        assert!(is_dead("17 (runc:[2:INIT]) Z 1 17"));
        assert!(!is_dead("17 (a) Z b) S 1 17"));
    }

    #[test]
    fn labels_tell_whose_container_it_is() {
        let declared: Container = serde_json::from_value(
            serde_json::json!({"name": "web", "namespace": "bank", "labels": {"app": "x"}}),
        )
        .unwrap();
        let labels = labels(&declared);
        assert!(labels.contains(&("kubearmor.io/namespace".to_owned(), "bank".to_owned())));
        assert!(labels.contains(&("app".to_owned(), "x".to_owned())));
    }
}
