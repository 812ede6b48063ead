//! What goes wrong between the agent and a runtime.

use std::{error::Error, path::PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("no answer at {}", socket.display())]
    Connect {
        socket: PathBuf,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("{call}: {reason}")]
    Call { call: &'static str, reason: String },
    #[error("the event stream ended")]
    StreamEnded,
    /// Nobody listens to the watcher any more.
    #[error("the agent is going down")]
    Receiver,
}

impl RuntimeError {
    pub(crate) fn connect(
        socket: &std::path::Path,
    ) -> impl FnOnce(Box<dyn Error + Send + Sync>) -> Self {
        let socket = socket.to_owned();
        move |source| Self::Connect { socket, source }
    }

    pub(crate) fn call(call: &'static str) -> impl FnOnce(&dyn std::fmt::Display) -> Self {
        move |reason| Self::Call { call, reason: reason.to_string() }
    }
}

/// An error with its causes on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // The transport's errors say again what their causes say.
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
