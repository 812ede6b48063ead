//! Room for images: one big array, handed out in regions. A region that is given back is not used again before every
//! program that could still be reading it has ended. Only what is being written is mapped: the kernel maps all pages at
//! once, and they would count as the agent's.

use std::collections::BTreeMap;

use libbpf_rs::MapHandle;
use rustix::{
    io::Errno,
    thread::{MembarrierCommand, membarrier},
};

use crate::{seal::Seal, shared::Mapping};

/// `ARENA_WORDS`
pub const ARENA_WORDS: u32 = 1 << 24;

/// Words before the first image. No program looks at them: an agent leaves notes there for the next one.
const NOTES: u32 = 16;
/// Where the two words are that count the lost alerts which are in somebody's accounts.
const ACCOUNTED: u32 = 2;
/// Regions that wait to be used again. More would spread the images over memory that is not in use yet, and would
/// have to be remembered.
const MOST_RETIRED: usize = 256;

/// A part of the arena that holds one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    /// In words from the arena's start; never 0.
    pub base: u32,
    /// In words.
    pub len: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "they take {}, and of {} for the rules of all workloads {} are free, in one piece {}; select fewer workloads, give \
     more of them the same rules, or merge rules into directories",
    bytes(*needed), bytes(ARENA_WORDS), bytes(*free), bytes(*largest)
)]
pub struct ArenaFull {
    pub needed: u32,
    pub free: u32,
    pub largest: u32,
}

/// Why an image was not written.
#[derive(Debug, thiserror::Error)]
pub enum ArenaError {
    #[error(transparent)]
    Full(#[from] ArenaFull),
    #[error("the kernel's memory for rules cannot be mapped: {0}")]
    Mapping(Errno),
}

/// As people read it.
fn bytes(words: u32) -> String {
    let kib = u64::from(words) * 4 / 1024;
    if kib < 1024 { format!("{kib} KiB") } else { format!("{} MiB", kib / 1024) }
}

#[derive(Debug)]
pub(crate) struct Arena {
    map: MapHandle,
    regions: Regions,
    /// What was written, by the base of its region.
    written: BTreeMap<u32, Seal>,
    /// Where the next comparison goes on: an image's base and one of its pieces.
    next: (u32, usize),
}

impl Arena {
    pub(crate) fn new(map: MapHandle) -> Self {
        let regions = Regions::new(ARENA_WORDS);
        Self { map, regions, written: BTreeMap::new(), next: (0, 0) }
    }

    /// Copies an image in. Nobody reads it until a slot points at it.
    pub(crate) fn write(&mut self, image: &[u32]) -> Result<Region, ArenaError> {
        let needed = u32::try_from(image.len()).unwrap_or(u32::MAX);
        if self.regions.many_retired() {
            self.reclaim();
        }
        let region = if let Some(region) = self.regions.take(needed) {
            region
        } else {
            self.reclaim();
            self.regions.take(needed).ok_or_else(|| self.regions.full(needed))?
        };
        if let Err(errno) = self.copy(region.base, image) {
            self.retire(region);
            return Err(ArenaError::Mapping(errno));
        }
        self.written.insert(region.base, Seal::of(image));
        Ok(region)
    }

    /// Words that images hold, or held a moment ago.
    pub(crate) fn used(&self) -> u32 {
        ARENA_WORDS - self.regions.free_words()
    }

    /// Waits until every program that was running has ended (the kernel's RCU grace period).
    fn reclaim(&mut self) {
        if self.regions.has_retired() && membarrier(MembarrierCommand::Global).is_ok() {
            self.regions.reclaim();
        }
    }

    /// Gives a region back, once no slot points at it.
    pub(crate) fn retire(&mut self, region: Region) {
        self.written.remove(&region.base);
        self.regions.retired.push(region);
    }

    /// What was written there; `None` if nothing is in force there.
    pub(crate) fn seal(&self, region: Region) -> Option<&Seal> {
        self.written.get(&region.base)
    }

    /// Compares some more pieces of what is there with what was written, until `words` words have been looked at or all
    /// have. Returns the bases of images that differ.
    pub(crate) fn compare(&mut self, words: usize) -> Vec<u32> {
        let total: usize = self.written.values().map(Seal::pieces).sum();
        let mut differ = Vec::new();
        let mut looked_at = 0;
        for _ in 0..total {
            let (base, piece) = self.next;
            let here = self.written.range(base..).next().or_else(|| self.written.iter().next());
            let Some((&found, seal)) = here else { break };
            let piece = if found == base { piece } else { 0 };
            // What cannot be looked at is no difference.
            let fits = self.look(found, seal.words(), |image| seal.fits_piece(piece, image));
            if !fits.unwrap_or(true) && differ.last() != Some(&found) {
                differ.push(found);
            }
            looked_at += seal.piece(piece).len();
            let last = piece + 1 >= seal.pieces();
            self.next = if last { (found + 1, 0) } else { (found, piece + 1) };
            if looked_at >= words {
                break;
            }
        }
        differ
    }

    /// Writes an image again where it was damaged. False, and nothing is written, if these are not the words that were
    /// there.
    pub(crate) fn mend(&mut self, base: u32, image: &[u32]) -> bool {
        if !self.written.get(&base).is_some_and(|seal| seal.fits(image)) {
            return false;
        }
        self.copy(base, image).is_ok()
    }

    /// Notes for the next agent how many of the alerts that found the ring full are in our accounts.
    pub(crate) fn note_accounted(&mut self, lost: u64) -> Result<(), Errno> {
        let words = [lost & u64::from(u32::MAX), lost >> 32];
        self.copy(ACCOUNTED, &words.map(|word| u32::try_from(word).unwrap_or(u32::MAX)))
    }

    fn copy(&mut self, base: u32, words: &[u32]) -> Result<(), Errno> {
        let from = base as usize * size_of::<u32>();
        let (mut window, before) = Mapping::window(&self.map, from, size_of_val(words))?;
        let room = &mut window.words_mut()[before / size_of::<u32>()..];
        room[..words.len()].copy_from_slice(words);
        Ok(())
    }

    fn look<T>(&self, base: u32, words: usize, at: impl FnOnce(&[u32]) -> T) -> Result<T, Errno> {
        let from = base as usize * size_of::<u32>();
        let (window, before) = Mapping::window(&self.map, from, words * size_of::<u32>())?;
        Ok(at(&window.words()[before / size_of::<u32>()..]))
    }
}

/// Whether the words of an arena from `base` on are those of the image.
pub(crate) fn holds(arena: &Mapping, base: u32, seal: &Seal) -> bool {
    base >= NOTES && seal.fits(region_of(arena.words(), base, seal))
}

/// What the agent noted that wrote this arena.
pub(crate) fn accounted(arena: &Mapping) -> u64 {
    let words = arena.words();
    let at = ACCOUNTED as usize;
    u64::from(words[at]) | u64::from(words[at + 1]) << 32
}

/// Shorter than the image where the arena ends before it.
fn region_of<'a>(words: &'a [u32], base: u32, seal: &Seal) -> &'a [u32] {
    let from = (base as usize).min(words.len());
    &words[from..from.saturating_add(seal.words()).min(words.len())]
}

/// Which words are in use: first fit, neighbours joined.
#[derive(Debug)]
struct Regions {
    free: Vec<Region>,
    retired: Vec<Region>,
}

impl Regions {
    fn new(words: u32) -> Self {
        // A base of 0 means no image.
        Self { free: vec![Region { base: NOTES, len: words - NOTES }], retired: Vec::new() }
    }

    fn take(&mut self, len: u32) -> Option<Region> {
        // Regions begin evenly, for the sake of the words of eight bytes in them.
        let len = len.max(1).checked_next_multiple_of(2)?;
        let index = self.free.iter().position(|r| r.len >= len)?;
        let base = self.free[index].base;
        if self.free[index].len == len {
            self.free.remove(index);
        } else {
            self.free[index].base += len;
            self.free[index].len -= len;
        }
        Some(Region { base, len })
    }

    fn many_retired(&self) -> bool {
        self.retired.len() >= MOST_RETIRED
    }

    fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    fn reclaim(&mut self) {
        self.free.append(&mut self.retired);
        self.free.sort_by_key(|r| r.base);
        self.free.dedup_by(|next, last| {
            let joins = last.base + last.len == next.base;
            if joins {
                last.len += next.len;
            }
            joins
        });
    }

    fn free_words(&self) -> u32 {
        self.free.iter().map(|region| region.len).sum()
    }

    fn full(&self, needed: u32) -> ArenaFull {
        ArenaFull {
            needed,
            free: self.free_words(),
            largest: self.free.iter().map(|r| r.len).max().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_come_and_go_stay_in_the_same_memory() {
        let mut regions = Regions::new(ARENA_WORDS);
        let mut highest = 0;
        for _ in 0..10_000 {
            if regions.many_retired() {
                regions.reclaim();
            }
            let region = regions.take(500).expect("room");
            highest = highest.max(region.base);
            regions.retired.push(region);
        }
        assert!(highest < 300 * 500, "{highest}");
        assert!(regions.retired.len() <= MOST_RETIRED);
    }

    #[test]
    fn regions_never_overlap_and_join_again() {
        let mut regions = Regions::new(116);
        let a = regions.take(40).expect("room");
        let b = regions.take(60).expect("room");
        assert_eq!((a.base, b.base), (16, 56));
        assert_eq!(regions.take(1), None);
        regions.retired.extend([b, a]);
        assert_eq!(regions.take(1), None, "a retired region is not free yet");
        regions.reclaim();
        assert_eq!(regions.take(100), Some(Region { base: 16, len: 100 }));
    }

    #[test]
    fn regions_begin_evenly() {
        let mut regions = Regions::new(116);
        let bases = [1, 7, 2].map(|len| regions.take(len).expect("room").base);
        assert_eq!(bases, [16, 18, 26]);
        assert_eq!(regions.take(u32::MAX), None);
    }

    #[test]
    fn what_finds_no_room_says_what_to_do() {
        let text = Regions::new(ARENA_WORDS).full(u32::MAX).to_string();
        assert!(text.starts_with("they take 16383 MiB, and of 64 MiB"), "{text}");
        assert!(text.ends_with("or merge rules into directories"), "{text}");
    }
}
