//! What all container runtimes have in common: asked what runs, then followed, then asked again and compared whenever the
//! connection broke. No container is missed across a restart of the runtime.

mod census;
pub(crate) mod channel;
pub(crate) mod error;
mod known;
mod watcher;

use std::{collections::BTreeMap, future::Future, path::Path};

pub use self::{
    error::RuntimeError,
    known::{Kind, Runtime, known},
    watcher::{Followed, follow},
};

/// A runtime as the watcher needs it.
pub(crate) trait Peer: Sized + Send {
    fn connect(socket: &Path) -> impl Future<Output = Result<Self, RuntimeError>> + Send;

    fn version(&mut self) -> impl Future<Output = Result<String, RuntimeError>> + Send;

    /// Has changes gathered from here on, for [`Peer::next`] to take.
    fn subscribe(&mut self) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// The containers that have a first process.
    fn running(&mut self) -> impl Future<Output = Result<Vec<Sighting>, RuntimeError>> + Send;

    /// `None` if the container is gone, or has no process.
    fn describe(
        &mut self,
        sighting: &Sighting,
    ) -> impl Future<Output = Result<Option<Description>, RuntimeError>> + Send;

    /// Waits for the next change. Nothing is lost if the future is dropped.
    fn next(&mut self) -> impl Future<Output = Result<Change, RuntimeError>> + Send;
}

/// A container that is said to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// Containerd's namespace; elsewhere empty.
    pub(crate) namespace: String,
    pub(crate) id: String,
    /// The first process, where the runtime says it in the same breath.
    pub(crate) pid: Option<u32>,
}

/// What a runtime knows of a container that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) pid: u32,
    /// The runtime's own name for it; empty where labels name it.
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// The specification's `cgroupsPath`, or what the last component of the control group's path ends with.
    pub(crate) cgroups_path: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Exists(Sighting),
    /// A life of this container has ended; without a process it is asked which.
    Gone {
        id: String,
        pid: Option<u32>,
    },
    /// Something has changed, or may have: it is time to ask what runs.
    Any,
}

#[cfg(test)]
pub(crate) mod tests;
