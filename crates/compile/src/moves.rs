//! The moves of pattern states by byte class: which of them a class takes part in.

use std::collections::BTreeMap;

use crate::{
    bytes::{ByteClasses, ByteSet},
    nfa::{Nfa, StateId},
};

/// Every distinct set of bytes on a move has a number; a class is in some of those sets.
pub(crate) struct Moves {
    /// Of each pattern state: the numbers of the sets of its moves, and where these lead.
    of_state: Vec<Vec<(u32, StateId)>>,
    /// Of each class, one bit per set: whether it has the class.
    sets_of_class: Vec<u64>,
    /// Length of a row of bits.
    words: usize,
}

impl Moves {
    pub(crate) fn of(nfa: &Nfa, classes: &ByteClasses) -> Self {
        let mut numbers: BTreeMap<ByteSet, u32> = BTreeMap::new();
        for (bytes, _) in nfa.states().iter().flat_map(|state| &state.moves) {
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            numbers.entry(*bytes).or_insert(next);
        }
        let words = numbers.len().div_ceil(64).max(1);
        let mut sets_of_class = vec![0; classes.len() * words];
        for (class, &byte) in classes.representatives().iter().enumerate() {
            for (_, &set) in numbers.iter().filter(|(bytes, _)| bytes.contains(byte)) {
                sets_of_class[class * words + set as usize / 64] |= 1 << (set % 64);
            }
        }
        let numbered = |&(bytes, to): &(ByteSet, StateId)| (numbers[&bytes], to);
        let of_state =
            nfa.states().iter().map(|state| state.moves.iter().map(numbered).collect()).collect();
        Self { of_state, sets_of_class, words }
    }

    /// The moves of some states together.
    pub(crate) fn of_states(&self, states: &[StateId]) -> Vec<(u32, StateId)> {
        states.iter().flat_map(|&state| &self.of_state[state as usize]).copied().collect()
    }

    /// Of each class, which of the sets on these moves have it. Classes with equal rows lead to the same states.
    pub(crate) fn taken_by_class(&self, moves: &[(u32, StateId)]) -> Vec<u64> {
        let mut present = vec![0; self.words];
        for &(set, _) in moves {
            present[set as usize / 64] |= 1 << (set % 64);
        }
        let present = present.iter().cycle();
        self.sets_of_class.iter().zip(present).map(|(class, present)| class & present).collect()
    }

    pub(crate) fn row<'r>(&self, taken: &'r [u64], class: usize) -> &'r [u64] {
        &taken[class * self.words..][..self.words]
    }
}

/// Whether a row of bits has a set.
pub(crate) fn has(row: &[u64], set: u32) -> bool {
    row[set as usize / 64] >> (set % 64) & 1 == 1
}
