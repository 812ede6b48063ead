//! Where a table of names has a name: a perfect hash, so that one look finds the only name that it can be.
//!
//! The hash of a name chooses a seed, and hash and seed choose a slot. The seeds are tried until no two names have one
//! slot, those first that many names share ("compress, hash and displace").

use crate::layout::{NAME_MULTIPLIER, NAME_PIECE};

/// Seeds that are tried before a table gets more slots.
const TRIES: u32 = 1 << 16;
/// Names of a table: counts of slots have sixteen bits.
pub(crate) const MOST_NAMES: usize = 1 << 15;

/// A piece of a name in words of eight bytes, NUL behind its end.
pub(crate) fn words(piece: &[u8]) -> Vec<u64> {
    let word = |bytes: &[u8]| {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(padded)
    };
    piece[..piece.len().min(NAME_PIECE)].chunks(8).map(word).collect()
}

pub(crate) fn hash(words: &[u64]) -> u64 {
    words.iter().fold(0, |hash, word| {
        let product = (hash ^ word).wrapping_mul(NAME_MULTIPLIER);
        // A product's lower half knows nothing of a word's last letters.
        product ^ product >> 32
    })
}

/// How many seeds and slots a table has, from its shape.
pub(crate) fn counts(shape: u32) -> [u32; 2] {
    [(shape & 0xffff) + 1, (shape >> 16) + 1]
}

pub(crate) fn seed_index(hash: u64, seeds: u32) -> u32 {
    low(hash >> 48) & (seeds - 1)
}

pub(crate) fn slot_index(hash: u64, seed: u32, slots: u32) -> u32 {
    low(hash.wrapping_mul(u64::from(seed)) >> 32) & (slots - 1)
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is meant")]
fn low(wide: u64) -> u32 {
    wide as u32
}

/// Seeds, and of each slot the number of its name.
#[derive(Debug)]
pub(crate) struct Perfect {
    pub(crate) seeds: Vec<u32>,
    pub(crate) slots: Vec<Option<usize>>,
}

impl Perfect {
    /// `None` if there are too many names, or if hashes are the same.
    pub(crate) fn of(hashes: &[u64]) -> Option<Self> {
        let mut slots = hashes.len().max(1).next_power_of_two();
        while slots <= 2 * MOST_NAMES {
            if let Some(perfect) = Self::with_slots(hashes, slots) {
                return Some(perfect);
            }
            slots *= 2;
        }
        None
    }

    fn with_slots(hashes: &[u64], slots: usize) -> Option<Self> {
        let seeds = hashes.len().div_ceil(4).max(1).next_power_of_two();
        let (seed_count, slot_count) = (u32::try_from(seeds).ok()?, u32::try_from(slots).ok()?);
        let mut sharing: Vec<Vec<usize>> = vec![vec![]; seeds];
        for (name, &hash) in hashes.iter().enumerate() {
            sharing[seed_index(hash, seed_count) as usize].push(name);
        }
        let mut order: Vec<usize> = (0..seeds).collect();
        order.sort_by_key(|&seed| std::cmp::Reverse(sharing[seed].len()));
        let mut perfect = Self { seeds: vec![1; seeds], slots: vec![None; slots] };
        for index in order {
            let seed = (0..TRIES).map(|n| n.wrapping_mul(0x9e37_79b9) | 1).find(|&seed| {
                perfect.take(&sharing[index], |name| {
                    slot_index(hashes[name], seed, slot_count) as usize
                })
            })?;
            perfect.seeds[index] = seed;
        }
        Some(perfect)
    }

    /// Gives each name its slot, or none of them if one is not free.
    fn take(&mut self, names: &[usize], slot_of: impl Fn(usize) -> usize) -> bool {
        for (done, &name) in names.iter().enumerate() {
            let slot = &mut self.slots[slot_of(name)];
            if slot.is_some() {
                for &name in &names[..done] {
                    self.slots[slot_of(name)] = None;
                }
                return false;
            }
            *slot = Some(name);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_slot_of_its_own() {
        for count in [0, 1, 2, 3, 4, 5, 31, 32, 1_000, 4_096, 10_000] {
            let names = (0..count).map(|n| format!("entry-{n}.conf"));
            let hashes: Vec<u64> = names.map(|name| hash(&words(name.as_bytes()))).collect();
            let perfect = Perfect::of(&hashes).expect("different names");
            let (seeds, slots) = (perfect.seeds.len(), perfect.slots.len());
            assert!(slots <= 2 * count.max(1), "{slots} slots for {count} names");
            for (name, &hash) in hashes.iter().enumerate() {
                let seed = perfect.seeds[seed_index(hash, u32::try_from(seeds).unwrap()) as usize];
                let slot = slot_index(hash, seed, u32::try_from(slots).unwrap());
                assert_eq!(perfect.slots[slot as usize], Some(name));
            }
        }
    }

    #[test]
    fn equal_hashes_have_no_table() {
        assert!(Perfect::of(&[7, 7]).is_none());
    }
}
