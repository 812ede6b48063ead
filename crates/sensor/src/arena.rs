//! Room for images: one big mapped array, handed out in regions. A region that is given back is not used again
//! before every program that could still be reading it has ended.

use rustix::thread::{MembarrierCommand, membarrier};

use crate::shared::Mapping;

/// `ARENA_WORDS`
pub const ARENA_WORDS: u32 = 1 << 24;

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
    "no room for an image of {needed} words: {free} of {ARENA_WORDS} words are free, the largest piece has {largest}"
)]
pub struct ArenaFull {
    pub needed: u32,
    pub free: u32,
    pub largest: u32,
}

#[derive(Debug)]
pub(crate) struct Arena {
    memory: Mapping,
    regions: Regions,
}

impl Arena {
    pub(crate) fn new(memory: Mapping) -> Self {
        Self { memory, regions: Regions::new(ARENA_WORDS) }
    }

    /// Copies an image in. Nobody reads it until a slot points at it.
    pub(crate) fn write(&mut self, image: &[u32]) -> Result<Region, ArenaFull> {
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
        let from = region.base as usize;
        self.memory.words_mut()[from..from + image.len()].copy_from_slice(image);
        Ok(region)
    }

    /// Waits until every program that was running has ended (the kernel's RCU grace period).
    fn reclaim(&mut self) {
        if self.regions.has_retired() && membarrier(MembarrierCommand::Global).is_ok() {
            self.regions.reclaim();
        }
    }

    /// Gives a region back, once no slot points at it.
    pub(crate) fn retire(&mut self, region: Region) {
        self.regions.retired.push(region);
    }

    /// Words that are not free.
    pub(crate) fn in_use(&self) -> usize {
        let free: u32 = self.regions.free.iter().map(|region| region.len).sum();
        (ARENA_WORDS - free) as usize
    }
}

/// Which words are in use: first fit, neighbours joined.
#[derive(Debug)]
struct Regions {
    free: Vec<Region>,
    retired: Vec<Region>,
}

impl Regions {
    fn new(words: u32) -> Self {
        // Word 0 stays unused: a base of 0 means no image.
        Self { free: vec![Region { base: 16, len: words - 16 }], retired: Vec::new() }
    }

    fn take(&mut self, len: u32) -> Option<Region> {
        let len = len.max(1);
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

    fn full(&self, needed: u32) -> ArenaFull {
        ArenaFull {
            needed,
            free: self.free.iter().map(|r| r.len).sum(),
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
}
