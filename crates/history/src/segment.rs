//! One file of the history.

use std::{
    fs,
    path::{Path, PathBuf},
};

use redb::{Builder, Database, ReadableDatabase as _, ReadableTableMetadata as _, TableDefinition};

use crate::{Entry, HistoryError};

/// By time, then by number: events of one microsecond keep their order.
const EVENTS: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("events");

/// Memory for pages of one segment.
const CACHE: usize = 1 << 20;

const BEGINNING: &str = "events-";
const END: &str = ".redb";

#[derive(Debug)]
pub(crate) struct Segment {
    path: PathBuf,
    database: Database,
}

/// An event's place in a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position((u64, u64));

impl Position {
    pub(crate) fn at(time: u64) -> Self {
        Self((time, 0))
    }
}

/// The path of a segment that begins `now`; paths sort by time.
pub(crate) fn path(directory: &Path, now: u64) -> PathBuf {
    directory.join(format!("{BEGINNING}{now:020}{END}"))
}

/// When the segment of this path was begun; `None` if it is none.
pub(crate) fn begun(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(BEGINNING)?.strip_suffix(END)?.parse().ok()
}

impl Segment {
    pub(crate) fn open(path: &Path) -> Result<Self, HistoryError> {
        let database = Builder::new()
            .set_cache_size(CACHE)
            .create(path)
            .map_err(|error| failed(path, error))?;
        let segment = Self { path: path.to_owned(), database };
        // Makes the table, and shows whether the file can be read.
        segment.append(&[])?;
        Ok(segment)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn append(&self, entries: &[Entry]) -> Result<(), HistoryError> {
        self.try_append(entries).map_err(|error| failed(&self.path, error))
    }

    fn try_append(&self, entries: &[Entry]) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(EVENTS)?;
            // Nothing is ever taken out of a table, so its length is a number that nobody has yet.
            for (number, entry) in (table.len()?..).zip(entries) {
                let mut value = Vec::with_capacity(entry.bytes.len() + 1);
                value.push(entry.kind);
                value.extend_from_slice(&entry.bytes);
                table.insert((entry.time, number), value.as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// At most `count` events from a place on, up to before `until`, and where to go on if there may be more.
    pub(crate) fn read(
        &self,
        from: Position,
        until: u64,
        count: usize,
    ) -> Result<(Vec<Entry>, Option<Position>), HistoryError> {
        self.try_read(from, until, count).map_err(|error| failed(&self.path, error))
    }

    fn try_read(
        &self,
        from: Position,
        until: u64,
        count: usize,
    ) -> Result<(Vec<Entry>, Option<Position>), redb::Error> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(EVENTS)?;
        let (mut entries, mut next) = (Vec::new(), None);
        if from.0 >= (until, 0) {
            return Ok((entries, None));
        }
        for found in table.range(from.0..(until, 0))?.take(count) {
            let (key, value) = found?;
            let (time, number) = key.value();
            if let Some((&kind, bytes)) = value.value().split_first() {
                entries.push(Entry { time, kind, bytes: bytes.to_vec() });
            }
            next = Some(Position((time, number + 1)));
        }
        let full = entries.len() == count;
        Ok((entries, next.filter(|_| full)))
    }

    /// Of its events; `None` if it has none, or cannot be read.
    pub(crate) fn newest_time(&self) -> Option<u64> {
        let transaction = self.database.begin_read().ok()?;
        let table = transaction.open_table(EVENTS).ok()?;
        let (key, _) = redb::ReadableTable::last(&table).ok()??;
        Some(key.value().0)
    }

    /// Bytes on disk.
    pub(crate) fn size(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |data| data.len())
    }

    /// Takes it off the disk; whoever reads it at this moment goes on.
    pub(crate) fn remove(&self) {
        // It may be gone already, which is what is wanted.
        let _ = fs::remove_file(&self.path);
    }
}

fn failed(path: &Path, error: impl Into<redb::Error>) -> HistoryError {
    HistoryError::Segment { path: path.to_owned(), source: Box::new(error.into()) }
}
