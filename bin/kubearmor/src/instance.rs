//! One agent per machine, and the files by which others find it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::FlockOperation;

use crate::config::Config;

#[derive(Debug, thiserror::Error)]
pub(crate) enum InstanceError {
    #[error(
        "another agent runs already, as process {pid} (it holds {}); stop it first, or give this one a `runDir` and \
         ports of its own", lock.display()
    )]
    Second { pid: String, lock: PathBuf },
    #[error("{}: {source}; make it writable for the agent, or set `runDir`", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// This process's claim to be the agent. It ends with the process, in whatever way.
#[derive(Debug)]
pub(crate) struct Instance {
    directory: PathBuf,
    /// Held for its lock.
    _lock: File,
}

impl Instance {
    /// Takes the lock in `run_dir`, making the directory if need be.
    pub(crate) fn claim(run_dir: &Path) -> Result<Self, InstanceError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| InstanceError::File { path, source }
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(run_dir)
            .map_err(failed(run_dir))?;
        let path = run_dir.join("agent.lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(&path)
            .map_err(failed(&path))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            let _ = lock.read_to_string(&mut pid);
            return Err(InstanceError::Second { pid: pid.trim().to_owned(), lock: path });
        }
        let pid = format!("{}\n", std::process::id());
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| lock.write_all(pid.as_bytes()))
            .map_err(failed(&path))?;
        let instance = Self { directory: run_dir.to_owned(), _lock: lock };
        // A `ready` of an earlier run would be a lie.
        let _ = fs::remove_file(instance.directory.join("ready"));
        instance.write("agent.pid", &pid)?;
        Ok(instance)
    }

    /// Tells, by this process's number, that restored policies are in force and that gRPC answers.
    pub(crate) fn ready(&self) -> Result<(), InstanceError> {
        self.write("ready", &format!("{}\n", std::process::id()))
    }

    /// Shows what configuration is in force, every key of it.
    pub(crate) fn in_force(&self, config: &Config) -> Result<(), InstanceError> {
        let text = serde_json::to_string_pretty(config).unwrap_or_default();
        self.write("config-in-force.json", &text)
    }

    /// Takes the files away that say an agent runs. The lock stays held until the process ends.
    pub(crate) fn leave(&self) {
        for name in ["ready", "agent.pid"] {
            let _ = fs::remove_file(self.directory.join(name));
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), InstanceError> {
        let path = self.directory.join(name);
        write_whole(&path, text, 0o644).map_err(|source| InstanceError::File { path, source })
    }
}

/// Replaces a file so that readers see the old text or the new one, never a part.
pub(crate) fn write_whole(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let temporary = temporary(path);
    // Whoever made a file of this name there does not get to read or redirect what is written.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&temporary, path)
}

/// Where a file is written before it takes its place.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut temporary = path.to_owned().into_os_string();
    temporary.push(".new");
    temporary.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_agent_names_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let run_dir = directory.path().join("run");
        let first = Instance::claim(&run_dir).unwrap();
        let error = Instance::claim(&run_dir).unwrap_err().to_string();
        assert!(error.contains(&format!("process {} ", std::process::id())), "{error}");
        drop(first);
        assert!(Instance::claim(&run_dir).is_ok());
    }

    #[test]
    fn a_new_agent_is_not_ready_because_an_old_one_was() {
        let directory = tempfile::tempdir().unwrap();
        let ready = directory.path().join("ready");
        let first = Instance::claim(directory.path()).unwrap();
        first.ready().unwrap();
        assert!(ready.exists());
        drop(first);
        let second = Instance::claim(directory.path()).unwrap();
        assert!(!ready.exists());
        second.in_force(&Config::default()).unwrap();
        let text = fs::read_to_string(directory.path().join("config-in-force.json")).unwrap();
        let keys: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(keys["gRPC"], 32767);
        assert_eq!(keys["visibility"], "process,file,network,capabilities");
        second.leave();
        assert!(!directory.path().join("agent.pid").exists());
    }
}
