//! The hook's side: waits for the agent, within a deadline.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use super::{Answer, LONGEST_LINE, Request, line};

const RETRY: Duration = Duration::from_millis(50);

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("no agent answers at {}: {source}; start it", socket.display())]
    Away {
        socket: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the agent did not answer within {} s", waited.as_secs())]
    Slow { waited: Duration },
    #[error("the agent's answer cannot be read: {reason}; is it of the same version?")]
    Answer { reason: String },
    #[error("the agent says: {reason}")]
    Refused { reason: String },
}

/// Asks the agent at `socket` and waits for its answer for at most `patience`. An agent that is not there is waited for
/// if `expected`: it may be restarting.
pub fn ask(
    socket: &Path,
    request: &Request,
    patience: Duration,
    expected: bool,
) -> Result<(), AskError> {
    let until = Instant::now() + patience;
    let mut stream = connect(socket, until, expected)?;
    let answer = exchange(&mut stream, request, until).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => AskError::Slow { waited: patience },
        _ => AskError::Away { socket: socket.to_owned(), source: error },
    })?;
    match serde_json::from_slice(&answer) {
        Ok(Answer::Done) => Ok(()),
        Ok(Answer::Refused(reason)) => Err(AskError::Refused { reason }),
        Err(error) => Err(AskError::Answer { reason: error.to_string() }),
    }
}

fn connect(socket: &Path, until: Instant, expected: bool) -> Result<UnixStream, AskError> {
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return Ok(stream),
            Err(source) if !expected || Instant::now() + RETRY >= until => {
                return Err(AskError::Away { socket: socket.to_owned(), source });
            }
            Err(_) => sleep(RETRY),
        }
    }
}

fn exchange(stream: &mut UnixStream, request: &Request, until: Instant) -> io::Result<Vec<u8>> {
    let left = || until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    stream.set_write_timeout(Some(left()))?;
    stream.write_all(&line(request))?;
    // The agent writes its answer at once, so what is left now bounds the whole of it.
    stream.set_read_timeout(Some(left()))?;
    let limit = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX);
    let mut answer = Vec::new();
    BufReader::new(stream.take(limit)).read_until(b'\n', &mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended the connection"));
    }
    Ok(answer)
}
