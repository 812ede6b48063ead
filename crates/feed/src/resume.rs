//! How a client goes on where a connection broke off: in the metadata of calls, which others do not look at.
//!
//! The client sends `kubearmor-resume: new`, or `EPOCH/SEQUENCE` of the last item that it has. It is answered with
//! `kubearmor-begin: EPOCH/SEQUENCE`, the item behind which the stream begins, and `kubearmor-missed`, the number of items
//! between the two that are not kept any more. Its items bear numbers. Another epoch is another run of the agent: the
//! stream then begins with the first item of the new run that is kept.

use std::{fmt, str::FromStr};

use tonic::{Request, Response, Status, metadata::MetadataMap};

use crate::{
    peer,
    queue::{Item, Listeners, Watch},
};

const RESUME: &str = "kubearmor-resume";
const BEGIN: &str = "kubearmor-begin";
const MISSED: &str = "kubearmor-missed";
const NEW: &str = "new";
/// The name of no run.
const NO_EPOCH: &str = "0";

/// A client has all items of a run of the agent up to this one, or knows that it missed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    epoch: String,
    sequence: u64,
}

/// How a stream begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beginning {
    /// `None`: the server knows nothing of numbers.
    pub position: Option<Position>,
    /// Items that nobody will get any more.
    pub missed: u64,
    /// The agent is another run than before. What the one before published last may be missing, too.
    pub restarted: bool,
}

impl Position {
    /// Before all that any run has told.
    pub fn before_all() -> Self {
        Self { epoch: NO_EPOCH.to_owned(), sequence: 0 }
    }

    /// Goes on to the item of this number; returns how many were left out before it.
    pub fn advance(&mut self, sequence: u64) -> u64 {
        let missed = sequence.saturating_sub(self.sequence.saturating_add(1));
        self.sequence = sequence;
        missed
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.epoch, self.sequence)
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (epoch, sequence) = text.split_once('/').ok_or(())?;
        let is_epoch = !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_hexdigit());
        let sequence = sequence.parse().map_err(drop)?;
        if is_epoch { Ok(Self { epoch: epoch.to_owned(), sequence }) } else { Err(()) }
    }
}

/// Answers a call to watch: with numbers if it asks for them.
pub(crate) fn watch<T: Item, R>(
    listeners: &Listeners<T>,
    epoch: &str,
    request: &Request<R>,
) -> Result<Response<Watch<T>>, Status> {
    let peer = peer::name(request);
    let Some(asked) = request.metadata().get(RESUME) else {
        return Ok(Response::new(listeners.watch(peer)));
    };
    let seen = match asked.to_str() {
        Ok(NEW) => None,
        Ok(text) => match text.parse::<Position>() {
            Ok(position) if position.epoch == epoch => Some(position.sequence),
            Ok(_another) => Some(0),
            Err(()) => return Err(unreadable()),
        },
        Err(_) => return Err(unreadable()),
    };
    let (watch, beginning) = listeners.watch_behind(peer, seen);
    let mut response = Response::new(watch);
    let position = Position { epoch: epoch.to_owned(), sequence: beginning.behind };
    for (key, value) in [(BEGIN, position.to_string()), (MISSED, beginning.missed.to_string())] {
        // Digits, letters and a slash.
        if let Ok(value) = value.parse() {
            response.metadata_mut().insert(key, value);
        }
    }
    Ok(response)
}

fn unreadable() -> Status {
    Status::invalid_argument(format!("`{RESUME}` is `{NEW}`, or EPOCH/SEQUENCE as it was answered"))
}

/// Asks for numbers, and for what came behind `position`.
pub(crate) fn ask<R>(request: &mut Request<R>, position: Option<&Position>) {
    let text = position.map_or_else(|| NEW.to_owned(), Position::to_string);
    if let Ok(value) = text.parse() {
        request.metadata_mut().insert(RESUME, value);
    }
}

/// Reads the answer to [`ask`].
pub(crate) fn answered(metadata: &MetadataMap, asked: Option<&Position>) -> Beginning {
    let text = |key| metadata.get(key).and_then(|value| value.to_str().ok());
    let position = text(BEGIN).and_then(|text| text.parse::<Position>().ok());
    let missed = text(MISSED).and_then(|text| text.parse().ok()).unwrap_or_default();
    let restarted = match (asked, &position) {
        (Some(asked), Some(position)) => asked.epoch != NO_EPOCH && asked.epoch != position.epoch,
        _ => false,
    };
    Beginning { position, missed, restarted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_as_they_are_written() {
        let position: Position = "18c0ffee/7".parse().unwrap();
        assert_eq!(position.to_string(), "18c0ffee/7");
        for text in ["", "/7", "18c0ffee", "18c0ffee/", "18c0ffee/-1", "x y/7"] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }

    #[test]
    fn gaps_are_counted() {
        let mut position: Position = "1/7".parse().unwrap();
        assert_eq!([position.advance(8), position.advance(12), position.advance(13)], [0, 3, 0]);
    }
}
