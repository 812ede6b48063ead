//! `logPath`: alerts and logs as lines of JSON in a file or on standard output, written by a thread of their own.

mod rotated;

use std::{
    convert::Infallible,
    io::{self, Stdout, Write as _},
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread,
    time::Duration,
};

use serde::Serialize;
use telemetry::{Alert, Delivery, Log};

use self::rotated::RotatedFile;
pub use self::rotated::Rotation;
use crate::{Relayed, metrics::SinkCounts, seldom::Seldom};

/// Bytes that are written at once while more is waiting.
const AT_ONCE: usize = 64 << 10;
/// What the end of the agent waits for lines that were accepted before.
const LAST: Duration = Duration::from_secs(1);

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
    /// With the names that clients of gRPC know.
    Relayed(Relayed),
}

enum Order {
    Write(Line),
    /// Answered when all lines before it are written, or could not be.
    Flush(SyncSender<()>),
}

/// The near end of the writing thread.
pub(crate) struct LineWriter {
    queue: SyncSender<Order>,
    counted: Arc<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    accepted: AtomicU64,
    /// Found the queue full.
    dropped: AtomicU64,
    written: AtomicU64,
    /// Could not be written.
    failed: AtomicU64,
}

impl LineWriter {
    /// `None` if nothing is to be written.
    pub(crate) fn start(
        path: &LogPath,
        rotation: Rotation,
        capacity: usize,
    ) -> io::Result<Option<Self>> {
        let place = match path {
            LogPath::None => return Ok(None),
            LogPath::Stdout => Place::Stdout(io::stdout()),
            LogPath::File(path) => Place::File(RotatedFile::open(path, rotation)?),
        };
        let (queue, lines) = sync_channel(capacity);
        let counted = Arc::new(Counted::default());
        let mut output = Output::new(place, Arc::clone(&counted));
        thread::Builder::new().name("log-path".into()).spawn(move || output.write_all(&lines))?;
        Ok(Some(Self { queue, counted }))
    }

    pub(crate) fn write(&self, line: Line) -> Delivery {
        // Before it is sent: who writes it counts it, too.
        self.counted.accepted.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(Order::Write(line)).is_ok() {
            return Delivery::Complete;
        }
        self.counted.accepted.fetch_sub(1, Ordering::Relaxed);
        self.counted.dropped.fetch_add(1, Ordering::Relaxed);
        Delivery::Incomplete
    }

    /// Waits until what was accepted before is written, not for long.
    pub(crate) fn flush(&self) {
        let (done, flushed) = sync_channel(1);
        if self.queue.send(Order::Flush(done)).is_ok() {
            let _ = flushed.recv_timeout(LAST);
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.counted.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn counts(&self) -> SinkCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (delivered, failed) = (read(&self.counted.written), read(&self.counted.failed));
        SinkCounts {
            name: "logPath".into(),
            kind: "file",
            delivered,
            lost: read(&self.counted.dropped) + failed,
            waiting: read(&self.counted.accepted).saturating_sub(delivered + failed),
        }
    }
}

enum Place {
    Stdout(Stdout),
    File(RotatedFile),
}

/// The far end: lines gather until there is nothing else to do, or much to write.
struct Output {
    place: Place,
    text: Vec<u8>,
    /// In the text.
    lines: u64,
    /// A line may have been written in part.
    torn: bool,
    counted: Arc<Counted>,
    complaints: Seldom,
}

impl Output {
    fn new(place: Place, counted: Arc<Counted>) -> Self {
        let complaints = Seldom::default();
        Self { place, text: Vec::new(), lines: 0, torn: false, counted, complaints }
    }

    /// Until nobody sends any more. A line that cannot be written is lost and counted; the next ones are tried again.
    fn write_all(&mut self, orders: &Receiver<Order>) {
        loop {
            let order = match orders.try_recv() {
                Ok(order) => order,
                Err(TryRecvError::Disconnected) => return self.flush(),
                Err(TryRecvError::Empty) => {
                    self.flush();
                    match orders.recv() {
                        Ok(order) => order,
                        Err(_) => return,
                    }
                }
            };
            let line = match order {
                Order::Write(line) => line,
                Order::Flush(done) => {
                    self.flush();
                    // Whoever asked may have given up.
                    let _ = done.send(());
                    continue;
                }
            };
            // Texts and numbers become JSON in any case, and memory takes them.
            if serde_json::to_writer(&mut self.text, &line).is_ok() {
                self.text.push(b'\n');
                self.lines += 1;
            }
            if self.text.len() >= AT_ONCE {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        if self.text.is_empty() {
            return;
        }
        if self.torn {
            self.text.insert(0, b'\n');
        }
        let written = match &mut self.place {
            Place::Stdout(stdout) => stdout.write_all(&self.text).and_then(|()| stdout.flush()),
            Place::File(file) => file.write(&self.text),
        };
        self.torn = written.is_err();
        let count = if let Err(problem) = written {
            self.complaints
                .warn(&format!("logPath: {} events were not written: {problem}", self.lines));
            &self.counted.failed
        } else {
            &self.counted.written
        };
        count.fetch_add(self.lines, Ordering::Relaxed);
        self.text.clear();
        self.lines = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn one_object_per_line_with_the_keys_of_the_agents_own_log() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("alerts.json");
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
        let written = write(&path, vec![Line::Alert(Box::new(alert)), Line::Log(Box::new(event))]);
        assert_eq!(written.written.into_inner(), 2);
        let lines: Vec<serde_json::Value> = fs::read_to_string(&path)
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

    const KEEP: Rotation = Rotation { bytes: 0, files: 0 };

    /// Writes lines as the thread does, and returns what was counted.
    fn write(path: &Path, lines: Vec<Line>) -> Counted {
        let counted = Arc::new(Counted::default());
        let (queue, receiver) = sync_channel(lines.len());
        for line in lines {
            queue.send(Order::Write(line)).unwrap();
        }
        drop(queue);
        let place = Place::File(RotatedFile::open(path, KEEP).unwrap());
        Output::new(place, Arc::clone(&counted)).write_all(&receiver);
        Arc::into_inner(counted).unwrap()
    }

    #[test]
    fn a_file_is_appended_to_and_what_waits_is_counted() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("alerts.json");
        fs::write(&file, "before\n").unwrap();
        let path: LogPath = file.to_str().unwrap().parse().unwrap();
        let writer = LineWriter::start(&path, KEEP, 4).unwrap().unwrap();
        assert_eq!(writer.write(Line::Log(Box::default())), Delivery::Complete);
        writer.flush();
        assert_eq!((writer.counts().delivered, writer.counts().lost), (1, 0));
        assert!(fs::read_to_string(&file).unwrap().starts_with("before\n{"));
    }

    #[test]
    fn what_cannot_be_written_is_counted_as_lost() {
        let full = Path::new("/dev/full");
        let counted = write(full, vec![Line::Log(Box::default()), Line::Log(Box::default())]);
        assert_eq!((counted.written.into_inner(), counted.failed.into_inner()), (0, 2));
    }
}
