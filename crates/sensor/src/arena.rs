//! Room for images: one big array, handed out in regions. A region that is given back is not used again before every
//! program that could still be reading it has ended. Only what is being written is mapped: the kernel maps all pages at
//! once, and they would count as the agent's.

use libbpf_rs::MapHandle;
use rustix::{
    io::Errno,
    thread::{MembarrierCommand, membarrier},
};

use crate::shared::Mapping;

/// `ARENA_WORDS`
pub const ARENA_WORDS: u32 = 1 << 24;

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
}

impl Arena {
    pub(crate) fn new(map: MapHandle) -> Self {
        Self { map, regions: Regions::new(ARENA_WORDS) }
    }

    /// Copies an image in. Nobody reads it until a slot points at it.
    pub(crate) fn write(&mut self, image: &[u32]) -> Result<Region, ArenaError> {
        let needed = u32::try_from(image.len()).unwrap_or(u32::MAX);
        let region = if let Some(region) = self.regions.take(needed) {
            region
        } else {
            // Waits until every program that was running has ended (the kernel's RCU grace period).
            if self.regions.has_retired() && membarrier(MembarrierCommand::Global).is_ok() {
                self.regions.reclaim();
            }
            self.regions.take(needed).ok_or_else(|| self.regions.full(needed))?
        };
        let first = region.base as usize;
        match Mapping::window(&self.map, first * size_of::<u32>(), size_of_val(image)) {
            Ok((mut window, before)) => {
                let words = &mut window.words_mut()[before / size_of::<u32>()..];
                words[..image.len()].copy_from_slice(image);
                Ok(region)
            }
            Err(errno) => {
                self.retire(region);
                Err(ArenaError::Mapping(errno))
            }
        }
    }

    /// Gives a region back, once no slot points at it.
    pub(crate) fn retire(&mut self, region: Region) {
        self.regions.retired.push(region);
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
