//! `logPath`: alerts and logs as lines of JSON in a file or on standard output, written by a thread of their own.

use std::{
    convert::Infallible,
    fs::OpenOptions,
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    str::FromStr,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread,
};

use serde::Serialize;
use telemetry::{Alert, Delivery, Log};

/// Where the agent writes what it reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogPath {
    #[default]
    None,
    Stdout,
    /// Appended to; made with mode 0600.
    File(PathBuf),
}

impl FromStr for LogPath {
    type Err = Infallible;

    fn from_str(path: &str) -> Result<Self, Infallible> {
        Ok(match path {
            "" | "none" => Self::None,
            "stdout" => Self::Stdout,
            file => Self::File(file.into()),
        })
    }
}

#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Line {
    Alert(Box<Alert>),
    Log(Box<Log>),
}

/// The near end of the writing thread.
pub(crate) struct LineWriter {
    queue: SyncSender<Line>,
    dropped: AtomicU64,
}

impl LineWriter {
    /// `None` if nothing is to be written.
    pub(crate) fn start(path: &LogPath, capacity: usize) -> io::Result<Option<Self>> {
        let output: Box<dyn Write + Send> = match path {
            LogPath::None => return Ok(None),
            LogPath::Stdout => Box::new(io::stdout()),
            LogPath::File(path) => {
                Box::new(OpenOptions::new().append(true).create(true).mode(0o600).open(path)?)
            }
        };
        let (queue, lines) = sync_channel(capacity);
        thread::Builder::new().name("log-path".into()).spawn(move || {
            if let Err(error) = write_lines(&lines, BufWriter::new(output)) {
                tracing::error!(%error, "logPath: nothing more is written");
            }
        })?;
        Ok(Some(Self { queue, dropped: AtomicU64::new(0) }))
    }

    pub(crate) fn write(&self, line: Line) -> Delivery {
        if self.queue.try_send(line).is_ok() {
            return Delivery::Complete;
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
        Delivery::Incomplete
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Flushes whenever it has caught up, so that a reader is never behind for long.
fn write_lines(lines: &Receiver<Line>, mut output: impl Write) -> io::Result<()> {
    loop {
        let line = match lines.try_recv() {
            Ok(line) => line,
            Err(TryRecvError::Disconnected) => return output.flush(),
            Err(TryRecvError::Empty) => {
                output.flush()?;
                match lines.recv() {
                    Ok(line) => line,
                    Err(_) => return Ok(()),
                }
            }
        };
        serde_json::to_writer(&mut output, &line)?;
        output.write_all(b"\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_object_per_line_with_the_keys_of_the_agents_own_log() {
        let (queue, lines) = sync_channel(4);
        let event = Log {
            operation: "File".into(),
            host_ppid: 7,
            container_id: "c0".into(),
            kind: "MatchedPolicy".into(),
            ..Log::default()
        };
        let alert = Alert {
            event: event.clone(),
            policy_name: "p".into(),
            tag_list: vec!["t".into()],
            ..Alert::default()
        };
        queue.send(Line::Alert(Box::new(alert))).unwrap();
        queue.send(Line::Log(Box::new(event))).unwrap();
        drop(queue);
        let mut text = Vec::new();
        write_lines(&lines, &mut text).unwrap();
        let lines: Vec<serde_json::Value> = String::from_utf8(text)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["policyName"], "p");
        assert_eq!(lines[0]["atags"][0], "t");
        assert_eq!(lines[0]["type"], "MatchedPolicy");
        assert_eq!(lines[1]["hostPPid"], 7);
        assert_eq!(lines[1]["containerID"], "c0");
    }

    #[test]
    fn a_file_is_appended_to() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("alerts.json");
        std::fs::write(&file, "before\n").unwrap();
        let path: LogPath = file.to_str().unwrap().parse().unwrap();
        let writer = LineWriter::start(&path, 4).unwrap().unwrap();
        assert_eq!(writer.write(Line::Log(Box::default())), Delivery::Complete);
        drop(writer);
        let mut text = String::new();
        while text.lines().count() < 2 {
            text = std::fs::read_to_string(&file).unwrap();
            thread::yield_now();
        }
        assert!(text.starts_with("before\n{"));
    }
}
