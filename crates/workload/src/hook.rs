//! What a runtime hook and the agent say to each other: one line of JSON each, over a socket of the agent.

mod ask;
mod listen;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::{
    ask::{AskError, ask},
    listen::listen,
};
use crate::newcomer::Newcomer;

/// In either direction. Labels and paths of one container are far shorter.
const LONGEST_LINE: usize = 1 << 20;

/// The agent's socket for hooks.
pub fn socket(run_dir: &Path) -> PathBuf {
    run_dir.join("hook.sock")
}

/// What a hook asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Its first process waits until the answer is there.
    Starting(Newcomer),
    /// The container of this id has ended.
    Ended(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Done,
    /// Why its rules are not in force.
    Refused(String),
}

/// A message as a line. Text without line breaks: JSON escapes them.
fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Reads whatever bytes a hook may send, or whoever sits in the agent's place, for those who try what harms.
pub fn read_hostile(bytes: &[u8]) {
    if let Ok(Request::Starting(newcomer)) = serde_json::from_slice(bytes) {
        let _ = (newcomer.namespace(), line(&newcomer));
        // No process of that number is looked for.
        let _ = Newcomer { pid: 0, ..newcomer }.container();
    }
    let _ = serde_json::from_slice::<Answer>(bytes);
}

#[cfg(test)]
mod tests;
