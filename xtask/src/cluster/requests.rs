//! What is asked of a running cluster: a line through a socket in its folder, and an answer.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What a running cluster can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Request {
    /// How it is
    Status,
    /// End
    Down,
    /// End the API server; all else stays
    ApiServerDown,
    /// Start the API server again
    ApiServerUp,
    /// Boot the node anew
    Reboot,
}

impl Request {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// The socket's end in the cluster.
pub(super) struct Requests {
    listener: UnixListener,
}

impl Requests {
    /// Listens in the cluster's folder.
    pub(super) fn listen(directory: &Path) -> Result<Self> {
        let path = socket(directory);
        let listener = UnixListener::bind(&path).with_context(|| path.display().to_string())?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener })
    }

    /// The next request, and who waits for its answer; none when nobody asks within `patience`.
    pub(super) fn next(&self, patience: Duration) -> Result<Option<(Request, UnixStream)>> {
        let mut listener = [PollFd::new(&self.listener, PollFlags::IN)];
        let patience = Timespec::try_from(patience).context("how long to wait")?;
        match poll(&mut listener, Some(&patience)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(error).context("wait for requests"),
        }
        let Ok((visitor, _)) = self.listener.accept() else { return Ok(None) };
        visitor.set_nonblocking(false)?;
        visitor.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut line = String::new();
        // Whoever connects and leaves has only looked whether somebody listens.
        if BufReader::new(&visitor).read_line(&mut line).is_err() || line.is_empty() {
            return Ok(None);
        }
        match Request::from_str(line.trim(), false) {
            Ok(request) => Ok(Some((request, visitor))),
            Err(error) => {
                answer(&visitor, &Err(anyhow::anyhow!(error)));
                Ok(None)
            }
        }
    }
}

/// Answers a request. Who has gone away misses it.
pub(super) fn answer(mut visitor: &UnixStream, answer: &Result<String>) {
    let _ = match answer {
        Ok(text) => writeln!(visitor, "ok\n{text}"),
        Err(error) => writeln!(visitor, "failed\n{error:#}"),
    };
}

/// Asks the cluster in the folder and returns its answer.
pub(super) fn ask(directory: &Path, request: Request) -> Result<String> {
    let mut socket = UnixStream::connect(socket(directory))
        .context("no cluster runs here\nhint: cargo xtask cluster up")?;
    writeln!(socket, "{}", request.name())?;
    let mut said = String::new();
    socket.read_to_string(&mut said)?;
    match said.split_once('\n') {
        Some(("ok", text)) => Ok(text.trim_end().to_owned()),
        Some((_, error)) => bail!("{}", error.trim_end()),
        None => bail!("the cluster ended without an answer"),
    }
}

/// Whether a cluster runs in the folder.
pub(super) fn is_running(directory: &Path) -> bool {
    UnixStream::connect(socket(directory)).is_ok()
}

/// The path of the socket.
pub(super) fn socket(directory: &Path) -> PathBuf {
    directory.join("requests")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_and_an_unknown_one_refused() {
        let work = tempfile::tempdir().unwrap();
        assert!(!is_running(work.path()));
        let requests = Requests::listen(work.path()).unwrap();
        let directory = work.path().to_owned();
        let asking = std::thread::spawn(move || ask(&directory, Request::ApiServerDown));
        let (request, visitor) = loop {
            if let Some(next) = requests.next(Duration::from_secs(1)).unwrap() {
                break next;
            }
        };
        assert_eq!(request, Request::ApiServerDown);
        answer(&visitor, &Ok("it is down".to_owned()));
        drop(visitor);
        assert_eq!(asking.join().unwrap().unwrap(), "it is down");

        let mut stranger = UnixStream::connect(socket(work.path())).unwrap();
        writeln!(stranger, "dance").unwrap();
        assert!(requests.next(Duration::from_mins(1)).unwrap().is_none());
        let mut said = String::new();
        stranger.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("failed"), "{said}");
    }
}
