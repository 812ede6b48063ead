//! A program of a case while it runs: what it writes is collected, its end is waited for.

use std::{
    fs::File,
    io::Read,
    os::{
        fd::OwnedFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Longer than any case needs, so that a program that hangs fails its case and not the whole run.
const LONGEST: Duration = Duration::from_mins(2);
/// What a program wrote is all there soon after its end, unless its children hold on to the pipe.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    /// As a shell counts it: 128 and the signal for a killed program.
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) struct Program {
    child: Child,
    stdout: Collected,
    /// Nothing on a terminal, where standard error arrives as standard output.
    stderr: Option<Collected>,
    tty: bool,
}

impl Program {
    /// Starts the program, on a terminal of its own if asked. `Ok(Err(ended))` says that it could not be executed.
    pub(crate) fn start(mut command: Command, tty: bool) -> Result<Result<Self, Ended>> {
        let spawned = if tty { on_a_terminal(&mut command) } else { on_pipes(&mut command) };
        match spawned {
            Ok((child, stdout, stderr)) => Ok(Ok(Self { child, stdout, stderr, tty })),
            Err(Refused::Program(error)) => {
                let stderr = format!("{}: {error}\n", command.get_program().to_string_lossy());
                let exit = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
                Ok(Err(Ended { exit, stdout: String::new(), stderr }))
            }
            Err(Refused::Terminal(error)) => Err(error),
        }
    }

    /// Waits until the program has written a line or has ended.
    pub(crate) fn await_line(&mut self) -> Result<()> {
        let since = Instant::now();
        while !self.stdout.has_line_within(Duration::from_millis(50)) {
            let ended = self.child.try_wait()?.is_some();
            anyhow::ensure!(
                ended || since.elapsed() < LONGEST,
                "the program wrote no line within {LONGEST:?}"
            );
            if ended {
                break;
            }
        }
        Ok(())
    }

    /// Waits for the program's end.
    pub(crate) fn finish(mut self) -> Result<Ended> {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if since.elapsed() > LONGEST {
                self.child.kill()?;
                self.child.wait()?;
                anyhow::bail!("the program did not end within {LONGEST:?}");
            }
            std::thread::sleep(Duration::from_millis(3));
        };
        let stdout = self.stdout.text();
        Ok(Ended {
            exit: exit_of(status),
            stdout: if self.tty { stdout.replace("\r\n", "\n") } else { stdout },
            stderr: self.stderr.as_ref().map(Collected::text).unwrap_or_default(),
        })
    }

    /// Ends a program that the case leaves behind.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn exit_of(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255)
}

enum Refused {
    Program(std::io::Error),
    Terminal(anyhow::Error),
}

type Started = Result<(Child, Collected, Option<Collected>), Refused>;

fn on_pipes(command: &mut Command) -> Started {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(Refused::Program)?;
    let stdout = Collected::from(child.stdout.take().map(OwnedFd::from));
    let stderr = Collected::from(child.stderr.take().map(OwnedFd::from));
    Ok((child, stdout, Some(stderr)))
}

#[expect(unsafe_code, reason = "only between fork and exec can a process take its terminal")]
fn on_a_terminal(command: &mut Command) -> Started {
    let (ours, theirs) = terminal().map_err(Refused::Terminal)?;
    let copy = || theirs.try_clone().map_err(|error| Refused::Terminal(error.into()));
    command.stdin(copy()?).stdout(copy()?).stderr(copy()?);
    // SAFETY: only two system calls between fork and exec.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
            Ok(())
        });
    }
    let child = command.spawn().map_err(Refused::Program)?;
    // Or the end of the program would not end the reading.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok((child, Collected::from(Some(ours)), None))
}

fn terminal() -> Result<(OwnedFd, OwnedFd)> {
    let open = || -> rustix::io::Result<_> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = ptsname(&ours, Vec::new())?;
        let flags =
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        let theirs = rustix::fs::open(name, flags, rustix::fs::Mode::empty())?;
        Ok((ours, theirs))
    };
    open().context("cannot open a terminal")
}

/// What arrives from a pipe or a terminal, read by a thread.
struct Collected(Arc<Buffer>);

#[derive(Default)]
struct Buffer {
    content: Mutex<Content>,
    more: Condvar,
}

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    complete: bool,
}

impl Collected {
    fn from(source: Option<OwnedFd>) -> Self {
        let buffer = Arc::new(Buffer::default());
        let Some(source) = source else { return Self(buffer) };
        let filled = Arc::clone(&buffer);
        std::thread::spawn(move || {
            let mut source = File::from(source);
            let mut piece = [0; 4096];
            // A terminal whose other side is closed answers with an error.
            while let Ok(length @ 1..) = source.read(&mut piece) {
                filled.content().bytes.extend(&piece[..length]);
                filled.more.notify_all();
            }
            filled.content().complete = true;
            filled.more.notify_all();
        });
        Self(buffer)
    }

    fn has_line_within(&self, longest: Duration) -> bool {
        self.await_content(longest, |content| content.bytes.contains(&b'\n'))
    }

    /// All of it, the program having ended.
    fn text(&self) -> String {
        self.await_content(LAST_WORDS, |content| content.complete);
        String::from_utf8_lossy(&self.0.content().bytes).into_owned()
    }

    fn await_content(&self, longest: Duration, wanted: impl Fn(&Content) -> bool) -> bool {
        let deadline = Instant::now() + longest;
        let mut content = self.0.content();
        while !wanted(&content) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || content.complete {
                return wanted(&content);
            }
            content =
                self.0.more.wait_timeout(content, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Buffer {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, tty: bool) -> Ended {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        match Program::start(command, tty).unwrap() {
            Ok(program) => program.finish().unwrap(),
            Err(ended) => ended,
        }
    }

    #[test]
    fn collects_both_streams_and_the_status() {
        let ended = shell("echo out; echo err >&2; exit 3", false);
        assert_eq!((ended.exit, &*ended.stdout, &*ended.stderr), (3, "out\n", "err\n"));
    }

    #[test]
    fn a_terminal_carries_both_streams() {
        let ended = shell("test -t 0 && echo out && echo err >&2; tty > /dev/tty", true);
        assert_eq!(ended.exit, 0, "{ended:?}");
        assert!(ended.stdout.starts_with("out\nerr\n/dev/pts/"), "{ended:?}");
    }

    #[test]
    fn a_program_that_is_not_there_ends_at_once() {
        let ended = Program::start(Command::new("/no/such/program"), false).unwrap().err().unwrap();
        assert_eq!(ended.exit, 127);
    }

    #[test]
    fn a_background_program_is_seen_by_its_first_line() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo ready; exec sleep 1000"]);
        let mut program = Program::start(command, false).unwrap().ok().unwrap();
        program.await_line().unwrap();
        program.kill();
    }
}
