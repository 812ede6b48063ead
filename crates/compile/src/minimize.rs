//! The smallest automaton that gives the same outputs.
//!
//! States without depth are refined until nothing tells them apart (`partition`). States with depth form a forest over
//! them, so one pass from the deepest up finds their equals by their rows. States of DNS names stay as they are.

use std::collections::VecDeque;

use rustc_hash::FxHashMap as HashMap;

use crate::{partition::coarsest, subset::Automaton};

/// Rows of the minimal automaton, in the order of a breadth-first walk from the starts.
pub(crate) struct Minimal {
    pub(crate) outputs: Vec<u32>,
    pub(crate) successors: Vec<u32>,
    pub(crate) start: u32,
    pub(crate) argument_start: u32,
    pub(crate) domain_start: Option<u32>,
    /// The state that each row stands for.
    pub(crate) states: Vec<u32>,
}

const UNKNOWN: u32 = u32::MAX;

pub(crate) fn minimize(automaton: &Automaton) -> Minimal {
    Equals::find(automaton, &automaton.outputs).reachable()
}

/// Of each state, one that stands for all that such outputs do not tell from it.
pub(crate) fn representatives(automaton: &Automaton, outputs: &[u32]) -> Vec<u32> {
    Equals::find(automaton, outputs).representative
}

struct Equals<'a> {
    automaton: &'a Automaton,
    outputs: &'a [u32],
    width: usize,
    /// The state that stands for each state.
    representative: Vec<u32>,
}

impl<'a> Equals<'a> {
    fn find(automaton: &'a Automaton, outputs: &'a [u32]) -> Self {
        let width = automaton.classes.len();
        let representative = vec![UNKNOWN; outputs.len()];
        let mut equals = Self { automaton, outputs, width, representative };
        equals.keep_domains();
        equals.refine_flat();
        equals.merge_deep();
        equals
    }

    fn row(&self, state: u32) -> &[u32] {
        &self.automaton.successors[state as usize * self.width..][..self.width]
    }

    fn states(&self) -> impl Iterator<Item = u32> + use<> {
        (0..).take(self.representative.len())
    }

    fn keep_domains(&mut self) {
        for state in self.states().filter(|&s| self.automaton.of_domains[s as usize]) {
            self.representative[state as usize] = state;
        }
    }

    fn refine_flat(&mut self) {
        let is_flat = |&state: &u32| {
            let state = state as usize;
            self.automaton.depths[state].is_none() && !self.automaton.of_domains[state]
        };
        let flat: Vec<u32> = self.states().filter(is_flat).collect();
        let mut number = vec![UNKNOWN; self.representative.len()];
        for (at, &state) in (0..).zip(&flat) {
            number[state as usize] = at;
        }
        let outputs: Vec<u32> = flat.iter().map(|&state| self.outputs[state as usize]).collect();
        let rows = flat.iter().flat_map(|&state| self.row(state));
        let successors: Vec<u32> = rows.map(|&next| number[next as usize]).collect();
        let parts = coarsest(&outputs, &successors, self.width);
        let mut first = HashMap::default();
        for (&state, part) in flat.iter().zip(parts) {
            self.representative[state as usize] = *first.entry(part).or_insert(state);
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
        let output = self.outputs[state as usize];
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
        let domain_start = self.automaton.domain_start.map(|start| number_of(start, &mut queue));
        let (mut outputs, mut successors, mut states) = (vec![], vec![], vec![]);
        while let Some(state) = queue.pop_front() {
            outputs.push(self.outputs[state as usize]);
            states.push(state);
            for &next in self.row(state) {
                successors.push(number_of(next, &mut queue));
            }
        }
        Minimal { outputs, successors, start, argument_start, domain_start, states }
    }
}
