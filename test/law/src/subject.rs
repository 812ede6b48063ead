//! A subject as the judge has it: a process in a container that does what it is asked, one thing after the other.

use std::{
    ffi::CString,
    io::{BufRead as _, BufReader, Write as _},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use law::{READY, Request};
use rustix::pty::OpenptFlags;

use crate::world::ROOT;

/// A process that acts.
pub(crate) struct Subject {
    path: PathBuf,
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// The other end of its terminal; without it the terminal would hang up.
    _terminal: Option<OwnedFd>,
}

impl Subject {
    /// Starts the program at `path` of the container in its control group.
    pub(crate) fn start(program: &Path, cgroup: &Path, path: &str, terminal: bool) -> Result<Self> {
        let pty = terminal.then(open_terminal).transpose()?;
        let name = match &pty {
            Some((_, name)) => std::ffi::OsStr::from_bytes(name.as_bytes()),
            None => "-".as_ref(),
        };
        let mut process = Command::new(program)
            .arg("enter")
            .arg(ROOT)
            .arg(cgroup)
            .arg(name)
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let requests = process.stdin.take().context("the subject's input")?;
        let answers = BufReader::new(process.stdout.take().context("the subject's output")?);
        let mut subject = Self {
            path: PathBuf::from(path),
            process,
            requests,
            answers,
            _terminal: pty.map(|(fd, _)| fd),
        };
        let ready = subject.line()?;
        ensure!(ready == READY, "{path} says {ready:?}");
        Ok(subject)
    }

    /// The errno with which the deed ended, 0 for success.
    pub(crate) fn perform(&mut self, request: &Request) -> Result<i32> {
        self.requests.write_all(request.to_line().as_bytes())?;
        let line = self.line()?;
        line.parse().with_context(|| format!("{} says {line:?}", self.path.display()))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let size = self.answers.read_line(&mut line)?;
        ensure!(size > 0, "{} has ended: {:?}", self.path.display(), self.process.try_wait()?);
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // A process that is gone already is what we want.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn open_terminal() -> Result<(OwnedFd, CString)> {
    let fd = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    rustix::pty::grantpt(&fd)?;
    rustix::pty::unlockpt(&fd)?;
    let name = rustix::pty::ptsname(&fd, Vec::new())?;
    Ok((fd, name))
}
