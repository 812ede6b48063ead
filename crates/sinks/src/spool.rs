//! What waits on disk for one sink: files that are written in order and read in order, the oldest dropped when they
//! would become too large together.
//!
//! A record counts as read once it was taken; the file remembers only what is [`Spool::done`], so that a run that is
//! killed leaves to the next what its peer had not yet. What ends in the middle of a record, as after a crash, is good up
//! to there.

mod record;
mod segment;

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use self::segment::Segment;
use crate::event::Event;

/// A spool is so many files at least, so that little is dropped at once.
const PARTS: u64 = 8;
/// A file is not smaller than this, unless the whole spool is.
const SMALLEST: u64 = 64 << 10;
/// Nor larger than this.
const LARGEST: u64 = 8 << 20;

const DONE: &str = "done";

#[derive(Debug)]
pub(crate) struct Spool {
    directory: PathBuf,
    max_bytes: u64,
    /// Oldest first; written to is the last.
    segments: VecDeque<Segment>,
    next_number: u64,
    /// Where the next record to take is, in the first segment that has any.
    place: Place,
}

/// A segment's number and an offset in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    number: u64,
    offset: u64,
}

/// What was found on opening.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) records: u64,
    /// Files that end in something that is no record.
    pub(crate) damaged: u64,
}

impl Spool {
    /// Makes the directory if it is not there; reads all that is in it.
    pub(crate) fn open(directory: &Path, max_bytes: u64) -> io::Result<(Self, Found)> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let done = read_done(directory);
        let mut numbers: Vec<u64> = fs::read_dir(directory)?
            .filter_map(|entry| Segment::number_of(&entry.ok()?.file_name()))
            .collect();
        numbers.sort_unstable();
        let mut spool = Self {
            directory: directory.to_owned(),
            max_bytes,
            segments: VecDeque::new(),
            next_number: numbers.last().map_or(done.number, |last| *last).max(done.number) + 1,
            place: done,
        };
        let mut found = Found::default();
        for number in numbers {
            let from = if number == done.number { done.offset } else { 0 };
            let (segment, damaged) = Segment::open(directory, number, from)?;
            found.damaged += u64::from(damaged);
            if number < done.number || segment.unread == 0 {
                segment.remove()?;
            } else {
                found.records += segment.unread;
                spool.segments.push_back(segment);
            }
        }
        Ok((spool, found))
    }

    pub(crate) fn set_max_bytes(&mut self, max_bytes: u64) {
        self.max_bytes = max_bytes;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.segments.iter().all(|segment| segment.unread == 0)
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Adds all of `events` or, on an error, none. Returns how many older ones had to be dropped for them, and how many
    /// of `events` are larger than the whole spool and were left out.
    pub(crate) fn append(&mut self, events: &[Event]) -> io::Result<(u64, u64)> {
        let (mut dropped, mut left_out) = (0, 0);
        let largest = (self.max_bytes / PARTS).clamp(SMALLEST, LARGEST);
        let (mut bytes, mut count) = (Vec::new(), 0);
        for event in events {
            let length = record::length(event);
            if length + segment::HEADER > self.max_bytes {
                left_out += 1;
                continue;
            }
            if !bytes.is_empty() && bytes.len() as u64 + length > largest.min(self.max_bytes / 2) {
                dropped += self.write(&bytes, count, largest)?;
                bytes.clear();
                count = 0;
            }
            record::write(event, &mut bytes);
            count += 1;
        }
        if count > 0 {
            dropped += self.write(&bytes, count, largest)?;
        }
        Ok((dropped, left_out))
    }

    fn write(&mut self, bytes: &[u8], count: u64, largest: u64) -> io::Result<u64> {
        let length = bytes.len() as u64;
        let fits = |segment: &Segment| {
            segment.is_open() && segment.bytes + length <= largest.min(self.max_bytes)
        };
        let new = !self.segments.back().is_some_and(fits);
        let more = length + if new { segment::HEADER } else { 0 };
        let mut dropped = 0;
        while self.bytes() + more > self.max_bytes && self.segments.len() > usize::from(!new) {
            let Some(oldest) = self.segments.pop_front() else { break };
            dropped += oldest.unread;
            oldest.remove()?;
        }
        if new {
            if let Some(last) = self.segments.back_mut() {
                last.finish()?;
            }
            self.segments.push_back(Segment::create(&self.directory, self.next_number)?);
            self.next_number += 1;
        }
        if let Some(last) = self.segments.back_mut() {
            last.append(bytes, count)?;
        }
        Ok(dropped)
    }

    /// The oldest records that were not taken, one at least if there is any. With them how many were passed over
    /// because they cannot be read any more.
    pub(crate) fn take(
        &mut self,
        max_events: usize,
        max_bytes: usize,
    ) -> io::Result<(Vec<Event>, u64)> {
        let (mut events, mut bytes, mut unreadable) = (Vec::new(), 0, 0);
        for segment in &mut self.segments {
            if segment.unread == 0 {
                continue;
            }
            if self.place.number != segment.number {
                self.place = Place { number: segment.number, offset: segment::HEADER };
            }
            let mut reader = segment.reader(self.place.offset)?;
            while segment.unread > 0 {
                if events.len() >= max_events || (bytes >= max_bytes && !events.is_empty()) {
                    return Ok((events, unreadable));
                }
                let Some((event, length)) = record::read(&mut reader)? else {
                    unreadable += std::mem::take(&mut segment.unread);
                    break;
                };
                bytes += event.json.len();
                events.push(event);
                segment.unread -= 1;
                self.place.offset += length;
            }
        }
        Ok((events, unreadable))
    }

    /// What was taken needs not be kept any longer.
    pub(crate) fn done(&mut self) -> io::Result<()> {
        while self.segments.front().is_some_and(|segment| segment.unread == 0) {
            if let Some(segment) = self.segments.pop_front() {
                segment.remove()?;
            }
        }
        // Where all files are gone, the place would only keep their numbers from being used again, which nobody does.
        if self.segments.is_empty() {
            return match fs::remove_file(self.directory.join(DONE)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let text = format!("{} {}\n", self.place.number, self.place.offset);
        let new = self.directory.join("done.new");
        fs::write(&new, text)?;
        fs::rename(new, self.directory.join(DONE))
    }

    /// Where the next record is: what was taken from there on is still on disk while [`Spool::holds`] says so.
    pub(crate) fn place(&self) -> Place {
        let first = self.segments.iter().find(|segment| segment.unread > 0);
        match first {
            Some(segment) if segment.number != self.place.number => {
                Place { number: segment.number, offset: segment::HEADER }
            }
            _ => self.place,
        }
    }

    pub(crate) fn holds(&self, place: Place) -> bool {
        self.segments.front().is_some_and(|first| first.number <= place.number)
    }

    /// Waits until the disk has what was written.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.segments.back_mut().map_or(Ok(()), Segment::finish)
    }
}

/// The beginning if nothing is written there, or nothing that makes sense: some events are then sent again.
fn read_done(directory: &Path) -> Place {
    let text = fs::read_to_string(directory.join(DONE)).unwrap_or_default();
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(number)), Some(Ok(offset))) => Place { number, offset },
        _ => Place::default(),
    }
}
