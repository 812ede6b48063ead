//! Pins: what keeps rules in force when the agent is gone. Each run of the agent has a folder of its own; a new run
//! attaches its programs before it takes the old ones away, so enforcement never lapses.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Names the layout of pins. Another number: another agent's pins, left alone except by `detach`.
pub const ABI: u32 = 1;

#[derive(Debug, thiserror::Error)]
#[error("{action} {path}")]
pub struct PinError {
    pub action: &'static str,
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

/// The folder `<bpf file system>/kubearmor/<abi>` and the runs in it.
#[derive(Clone, Debug)]
pub struct PinnedRuns {
    root: PathBuf,
}

impl PinnedRuns {
    /// `bpffs` is where the bpf file system is mounted, usually `/sys/fs/bpf`.
    pub fn new(bpffs: &Path) -> Self {
        Self { root: bpffs.join("kubearmor").join(ABI.to_string()) }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the folder of a new run. Names must not contain dots: the bpf file system refuses them.
    pub fn begin(&self) -> Result<PathBuf, PinError> {
        for number in 0u32.. {
            let path = self.root.join(format!("run_{number}"));
            if path.exists() {
                continue;
            }
            fs::create_dir_all(&path).map_err(|source| PinError {
                action: "making the folder for pins",
                path: path.clone(),
                source,
            })?;
            return Ok(path);
        }
        Ok(self.root.clone())
    }

    /// Removes every run but this one, if it is pinned itself: their programs are detached as soon as nobody else holds
    /// them.
    pub fn retire_others(&self, keep: Option<&Path>) -> Result<(), PinError> {
        for run in self.runs()? {
            if Some(run.as_path()) != keep {
                remove(&run)?;
            }
        }
        Ok(())
    }

    fn runs(&self) -> Result<Vec<PathBuf>, PinError> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => {
                return Err(PinError {
                    action: "listing pins in",
                    path: self.root.clone(),
                    source,
                });
            }
        };
        Ok(entries.flatten().map(|entry| entry.path()).collect())
    }
}

/// Lifts every rule on purpose: removes all pins of all versions. Returns how many links went.
pub fn detach_all(bpffs: &Path) -> Result<usize, PinError> {
    let root = bpffs.join("kubearmor");
    if !root.exists() {
        return Ok(0);
    }
    remove(&root)
}

fn remove(folder: &Path) -> Result<usize, PinError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| PinError { action, path, source }
    };
    let mut removed = 0;
    for entry in fs::read_dir(folder).map_err(failed("listing pins in", folder))?.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            removed += remove(&path)?;
        } else {
            fs::remove_file(&path).map_err(failed("removing the pin", &path))?;
            removed += 1;
        }
    }
    fs::remove_dir(folder).map_err(failed("removing the folder of pins", folder))?;
    Ok(removed)
}
