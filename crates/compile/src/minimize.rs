//! The smallest automaton that gives the same outputs.
//!
//! States without depth are refined as Moore did. States with depth form a forest over them, so one pass from the
//! deepest up finds their equals by their rows.

use std::collections::VecDeque;

use rustc_hash::FxHashMap as HashMap;

use crate::subset::Automaton;

/// Rows of the minimal automaton, in the order of a breadth-first walk from the starts.
pub(crate) struct Minimal {
    pub(crate) outputs: Vec<u32>,
    pub(crate) successors: Vec<u32>,
    pub(crate) start: u32,
    pub(crate) argument_start: u32,
}

const UNKNOWN: u32 = u32::MAX;

pub(crate) fn minimize(automaton: &Automaton) -> Minimal {
    let mut equals = Equals {
        automaton,
        width: automaton.classes.len(),
        representative: vec![UNKNOWN; automaton.outputs.len()],
    };
    equals.refine_flat();
    equals.merge_deep();
    equals.reachable()
}

struct Equals<'a> {
    automaton: &'a Automaton,
    width: usize,
    /// The state that stands for each state.
    representative: Vec<u32>,
}

impl Equals<'_> {
    fn row(&self, state: u32) -> &[u32] {
        &self.automaton.successors[state as usize * self.width..][..self.width]
    }

    fn states(&self) -> impl Iterator<Item = u32> + use<> {
        (0..).take(self.representative.len())
    }

    fn refine_flat(&mut self) {
        let flat: Vec<u32> =
            self.states().filter(|&s| self.automaton.depths[s as usize].is_none()).collect();
        let mut block = vec![UNKNOWN; self.representative.len()];
        let mut blocks = number(&flat, &mut block, |state| self.automaton.outputs[state as usize]);
        loop {
            let width = self.width + 1;
            let mut signatures = Vec::with_capacity(flat.len() * width);
            for &state in &flat {
                signatures.push(block[state as usize]);
                signatures.extend(self.row(state).iter().map(|&next| block[next as usize]));
            }
            let mut refined = block.clone();
            let mut at = signatures.chunks_exact(width);
            let count = number(&flat, &mut refined, |_| at.next());
            block = refined;
            if count == blocks {
                break;
            }
            blocks = count;
        }
        let mut first = HashMap::default();
        for &state in &flat {
            self.representative[state as usize] =
                *first.entry(block[state as usize]).or_insert(state);
        }
    }

    fn merge_deep(&mut self) {
        let depths = &self.automaton.depths;
        let mut deep: Vec<u32> = self.states().filter(|&s| depths[s as usize].is_some()).collect();
        deep.sort_by_key(|&state| std::cmp::Reverse(depths[state as usize]));
        let mut known: HashMap<Vec<u32>, u32> = HashMap::default();
        for state in self.states().filter(|&s| self.representative[s as usize] == s) {
            known.insert(self.canonical(state), state);
        }
        for state in deep {
            let canonical = self.canonical(state);
            self.representative[state as usize] = *known.entry(canonical).or_insert(state);
        }
    }

    /// Output and successors, by their representatives.
    fn canonical(&self, state: u32) -> Vec<u32> {
        let output = self.automaton.outputs[state as usize];
        let successors = self.row(state).iter().map(|&next| self.representative[next as usize]);
        std::iter::once(output).chain(successors).collect()
    }

    fn reachable(&self) -> Minimal {
        let mut numbers = vec![UNKNOWN; self.representative.len()];
        let mut queue = VecDeque::new();
        let mut order = 0;
        let mut number_of = |state: u32, queue: &mut VecDeque<u32>| {
            let state = self.representative[state as usize];
            let number = &mut numbers[state as usize];
            if *number == UNKNOWN {
                *number = order;
                order += 1;
                queue.push_back(state);
            }
            *number
        };
        let start = number_of(self.automaton.start, &mut queue);
        let argument_start = number_of(self.automaton.argument_start, &mut queue);
        let (mut outputs, mut successors) = (vec![], vec![]);
        while let Some(state) = queue.pop_front() {
            outputs.push(self.automaton.outputs[state as usize]);
            for &next in self.row(state) {
                successors.push(number_of(next, &mut queue));
            }
        }
        Minimal { outputs, successors, start, argument_start }
    }
}

/// Numbers the states by the key they share, and counts the numbers.
fn number<K: std::hash::Hash + Eq>(
    states: &[u32],
    numbers: &mut [u32],
    mut key: impl FnMut(u32) -> K,
) -> usize {
    let mut known = HashMap::default();
    for &state in states {
        let next = u32::try_from(known.len()).unwrap_or(UNKNOWN);
        numbers[state as usize] = *known.entry(key(state)).or_insert(next);
    }
    known.len()
}
