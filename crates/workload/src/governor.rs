//! Who is asked before a container's first program runs, and by which ways.

use std::{future::Future, path::PathBuf};

use crate::newcomer::Newcomer;

/// A way by which the agent hears of a container before its first program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    Nri,
    Hook,
}

/// Puts the rules of containers in force. Callers wait for the answer with the container, so it comes soon.
pub trait Governor: Send + Sync + 'static {
    /// Returns when the kernel judges the container by its rules; else why some of them are not in force. A container
    /// that is known already stays as it is.
    fn govern(&self, newcomer: Newcomer) -> impl Future<Output = Result<(), String>> + Send;

    /// Forgets a container if nothing of it is left.
    fn ended(&self, id: String) -> impl Future<Output = ()> + Send;

    /// The id of the governed container that a process in this control group belongs to.
    fn container_of(&self, cgroup: PathBuf) -> impl Future<Output = Option<String>> + Send;

    /// Whether a container may start though its rules are not in force.
    fn may_start_ungoverned(&self) -> impl Future<Output = bool> + Send;

    /// A way works, or does not any more.
    fn way(&self, way: Way, open: bool);
}
