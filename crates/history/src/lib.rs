//! Events kept on disk, bounded by size and age, to be asked for by time.
//!
//! The history is a directory of segments, each a database of its own. Events are added to the newest; the oldest goes as
//! a whole when there is too much. So the bound is one of disk space, nothing is ever rewritten, and a segment that is
//! damaged takes no other with it. What an event is, the history does not know: bytes, with a time and a kind.
#![forbid(unsafe_code)]

mod segment;

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use self::segment::{Position, Segment};

/// A segment is full at this share of all.
const SHARE: u64 = 8;
/// Events that are read from the disk at once.
const AT_ONCE: usize = 512;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of all files together; they may be larger by a segment, an eighth, for a moment.
    pub bytes: u64,
    /// Segments whose newest event is older are removed.
    pub age: Duration,
}

impl Bounds {
    /// Empty segments take space, too: below this nothing of use would be kept.
    pub const LEAST_BYTES: u64 = 16 << 20;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Microseconds since 1970.
    pub time: u64,
    /// For whoever asks.
    pub kind: u8,
    pub bytes: Vec<u8>,
}

/// What keeps the history from being written or read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("the history in {}: {source}", path.display())]
    Files { path: PathBuf, source: io::Error },
    #[error("the history's segment {}: {source}", path.display())]
    Segment {
        path: PathBuf,
        #[source]
        source: Box<redb::Error>,
    },
}

/// The one who writes. Readers are told of by [`History::reader`].
#[derive(Debug)]
pub struct History {
    directory: PathBuf,
    bounds: Bounds,
    segments: Segments,
}

/// The oldest first; never empty once something was written.
type Segments = Arc<RwLock<Vec<Arc<Segment>>>>;

/// Reads while the history is written. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    segments: Segments,
}

impl History {
    /// Opens or makes the history of a directory. A segment that cannot be read is set aside, in place of one that was
    /// before; the errors are returned beside, and everything else is there.
    pub fn open(
        directory: &Path,
        bounds: Bounds,
    ) -> Result<(Self, Vec<HistoryError>), HistoryError> {
        let files = |source| HistoryError::Files { path: directory.to_owned(), source };
        // Commands have secrets in their arguments.
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(files)?;
        let mut paths: Vec<PathBuf> = fs::read_dir(directory)
            .map_err(files)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| segment::begun(path).is_some())
            .collect();
        paths.sort();
        let (mut segments, mut damaged) = (Vec::new(), Vec::new());
        for path in paths {
            match Segment::open(&path) {
                Ok(segment) => segments.push(Arc::new(segment)),
                Err(error) => {
                    fs::rename(&path, directory.join("damaged")).map_err(files)?;
                    damaged.push(error);
                }
            }
        }
        let bounds = Bounds { bytes: bounds.bytes.max(Bounds::LEAST_BYTES), ..bounds };
        let segments = Arc::new(RwLock::new(segments));
        Ok((Self { directory: directory.to_owned(), bounds, segments }, damaged))
    }

    pub fn reader(&self) -> Reader {
        Reader { segments: Arc::clone(&self.segments) }
    }

    /// Adds events, in one step that has reached the disk when this returns: all of them, or none.
    /// `now` is in microseconds since 1970.
    pub fn append(&mut self, entries: &[Entry], now: u64) -> Result<(), HistoryError> {
        let newest = self.list(|segments| segments.last().cloned());
        let segment = match newest {
            Some(segment) if segment.size() < self.bounds.bytes / SHARE => segment,
            before => self.begin(now, before.as_deref())?,
        };
        segment.append(entries)?;
        self.tidy(now);
        Ok(())
    }

    /// Removes what is too old or too much. The newest segment stays unless all of it is too old.
    pub fn tidy(&mut self, now: u64) {
        let age = u64::try_from(self.bounds.age.as_micros()).unwrap_or(u64::MAX);
        let oldest_time = now.saturating_sub(age);
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let mut bytes: u64 = segments.iter().map(|segment| segment.size()).sum();
        while let Some(oldest) = segments.first() {
            let too_much = bytes > self.bounds.bytes && segments.len() > 1;
            if !too_much && oldest.newest_time().is_none_or(|newest| newest >= oldest_time) {
                break;
            }
            bytes -= oldest.size();
            oldest.remove();
            segments.remove(0);
        }
    }

    /// Bytes on disk.
    pub fn size(&self) -> u64 {
        self.list(|segments| segments.iter().map(|segment| segment.size()).sum())
    }

    fn begin(&self, now: u64, before: Option<&Segment>) -> Result<Arc<Segment>, HistoryError> {
        // Names go on, whatever the clock does.
        let after = before.and_then(|before| segment::begun(before.path())).map_or(0, |at| at + 1);
        let segment = Arc::new(Segment::open(&segment::path(&self.directory, now.max(after)))?);
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        segments.push(Arc::clone(&segment));
        Ok(segment)
    }

    fn list<T>(&self, ask: impl FnOnce(&Vec<Arc<Segment>>) -> T) -> T {
        ask(&self.segments.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Reader {
    /// Shows the events from `since` up to before `until`, microseconds since 1970, in the order of their times within
    /// each segment, to `show` until it answers false. Segments that are removed meanwhile are read to their end.
    ///
    /// # Errors
    /// A segment could not be read; what came before was shown.
    pub fn read(
        &self,
        since: u64,
        until: u64,
        mut show: impl FnMut(Entry) -> bool,
    ) -> Result<(), HistoryError> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner).clone();
        for segment in segments {
            let mut from = Position::at(since);
            loop {
                let (entries, next) = segment.read(from, until, AT_ONCE)?;
                for entry in entries {
                    if !show(entry) {
                        return Ok(());
                    }
                }
                let Some(next) = next else { break };
                from = next;
            }
        }
        Ok(())
    }
}
