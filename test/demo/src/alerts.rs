//! The alerts, as `karmor logs` brings them: shown at once, kept in their order.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{PATIENCE, screen::Screen};

/// How long an alert may take from the kernel to the audience on a slow machine.
const ALERT_PATIENCE: Duration = Duration::from_secs(10);
const FIRST: &str = "/out/first-alert.txt";
/// For whoever wants to look at them later, one on a line.
const ALL: &str = "/out/alerts.json";

/// The fields of an alert that the demonstration speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alert {
    pub(crate) policy: String,
    pub(crate) operation: String,
    pub(crate) resource: String,
    pub(crate) action: String,
    pub(crate) source: String,
    result: String,
}

impl Alert {
    /// One of `karmor logs --json`'s lines.
    fn read(line: &str) -> Result<Self> {
        let fields: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let field = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            policy: field("PolicyName"),
            operation: field("Operation"),
            resource: field("Resource"),
            action: field("Action"),
            source: field("Source"),
            result: field("Result"),
        })
    }

    fn shown(&self) -> String {
        let Self { policy, operation, resource, action, source, result } = self;
        format!("{policy}: {action} {operation} \"{resource}\" by {source}: {result}")
    }
}

/// A running `karmor logs`.
pub(crate) struct Alerts {
    lines: Receiver<String>,
    seen: Vec<Alert>,
    file: File,
    screen: Screen,
    /// One for the demonstration, one that writes the first alert to a file in its full form.
    watchers: [Child; 2],
}

impl Alerts {
    /// Returns when no alert can be missed any more.
    pub(crate) fn watch(screen: Screen) -> Result<Self> {
        let mut all = start(&["--json"])?;
        let first = start(&["--limit", "1", "--logPath", FIRST])?;
        let lines = lines_of(all.stdout.take().context("the alerts")?);
        let file = File::create(ALL).context(ALL)?;
        Ok(Self { lines, seen: Vec::new(), file, screen, watchers: [all, first] })
    }

    /// How many have come.
    pub(crate) fn count(&self) -> usize {
        self.seen.len()
    }

    /// Those that came after the first `count`.
    pub(crate) fn since(&self, count: usize) -> &[Alert] {
        self.seen.get(count..).unwrap_or_default()
    }

    /// Waits for an alert after the first `count` that is `wanted`; its place among all. `None` if none comes.
    pub(crate) fn wait(
        &mut self,
        count: usize,
        wanted: impl Fn(&Alert) -> bool,
    ) -> Result<Option<usize>> {
        let until = Instant::now() + ALERT_PATIENCE;
        let mut next = count;
        loop {
            if let Some(at) = self.since(next).iter().position(&wanted) {
                return Ok(Some(next + at));
            }
            next = self.count();
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    writeln!(self.file, "{line}").context(ALL)?;
                    let alert = Alert::read(&line)?;
                    self.screen.alert(&alert.shown());
                    self.seen.push(alert);
                }
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => bail!("karmor logs has ended"),
            }
        }
    }

    /// The first alert with all its fields.
    pub(crate) fn first_in_full(&mut self) -> Result<String> {
        self.watchers[1].wait()?;
        fs::read_to_string(FIRST).context(FIRST)
    }
}

impl Drop for Alerts {
    fn drop(&mut self) {
        for watcher in &mut self.watchers {
            // Fails when it has ended by itself.
            let _ = watcher.kill();
            let _ = watcher.wait();
        }
    }
}

/// Starts `karmor logs` and returns when it is connected, which it tells on standard error.
fn start(arguments: &[&str]) -> Result<Child> {
    let mut karmor = Command::new("karmor");
    karmor.arg("logs").args(arguments).stdin(Stdio::null());
    let mut child = karmor
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start karmor")?;
    let said = lines_of(child.stderr.take().context("karmor's messages")?);
    match said.recv_timeout(PATIENCE) {
        Ok(line) if line.starts_with("watching") => Ok(child),
        Ok(line) => bail!("karmor logs: {line}"),
        Err(_) => bail!("karmor logs does not connect"),
    }
}

/// Reads lines in a thread, so that the reader can give up waiting.
fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // Nobody may listen any more; the stream is still drained so that its writer never waits.
            let _ = sender.send(line);
        }
    });
    receiver
}
