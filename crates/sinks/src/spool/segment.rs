//! One file of a spool.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::record;

/// At the beginning of each file: what it is, and the version of its format.
const MAGIC: &[u8; 8] = b"KAspool1";
pub(super) const HEADER: u64 = MAGIC.len() as u64;
const EXTENSION: &str = ".spool";

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    path: PathBuf,
    /// Of the file.
    pub(super) bytes: u64,
    /// Records that were not taken.
    pub(super) unread: u64,
    /// While it is the one that is written to.
    writer: Option<File>,
}

impl Segment {
    pub(super) fn number_of(name: &OsStr) -> Option<u64> {
        name.to_str()?.strip_suffix(EXTENSION)?.parse().ok()
    }

    pub(super) fn create(directory: &Path, number: u64) -> io::Result<Self> {
        let path = directory.join(format!("{number:020}{EXTENSION}"));
        let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
        if let Err(error) = file.write_all(MAGIC) {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok(Self { number, path, bytes: HEADER, unread: 0, writer: Some(file) })
    }

    /// Counts the records behind `from`; true if behind the last one something is left that is none.
    pub(super) fn open(directory: &Path, number: u64, from: u64) -> io::Result<(Self, bool)> {
        let path = directory.join(format!("{number:020}{EXTENSION}"));
        let bytes = fs::metadata(&path)?.len();
        let mut segment = Self { number, path, bytes, unread: 0, writer: None };
        let mut magic = [0; MAGIC.len()];
        let mut file = BufReader::new(File::open(&segment.path)?);
        if file.read_exact(&mut magic).is_err() || magic != *MAGIC {
            return Ok((segment, true));
        }
        let mut offset = from.max(HEADER);
        let mut reader = segment.reader(offset)?;
        while let Some((_, length)) = record::read(&mut reader)? {
            segment.unread += 1;
            offset += length;
        }
        Ok((segment, offset < bytes))
    }

    pub(super) fn reader(&self, offset: u64) -> io::Result<BufReader<File>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(BufReader::with_capacity(64 << 10, file))
    }

    /// All of `bytes` or nothing of it. Only the segment that this run has made is written to.
    pub(super) fn append(&mut self, bytes: &[u8], count: u64) -> io::Result<()> {
        let Some(file) = &mut self.writer else {
            return Err(io::Error::other("the file was finished"));
        };
        if let Err(error) = file.write_all(bytes) {
            // A part would hide what is written behind it.
            let _ = file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += bytes.len() as u64;
        self.unread += count;
        Ok(())
    }

    /// Waits until the disk has all of it.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.writer.as_ref().map_or(Ok(()), File::sync_data)
    }

    pub(super) fn is_open(&self) -> bool {
        self.writer.is_some()
    }

    pub(super) fn remove(self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
