//! The part of what rules name that is no literal: pattern tails and directory contents, as a nondeterministic
//! automaton over bytes.

use regex_syntax::utf8::Utf8Sequences;
use ruleset::{CharacterClass, Token};
use rustc_hash::FxHashMap as HashMap;

use crate::{
    bytes::ByteSet,
    settled::{Places, Settled},
};

/// Index of a state.
pub(crate) type StateId = u32;

#[derive(Default)]
pub(crate) struct Nfa {
    states: Vec<State>,
    /// Patterns share the states of the tokens with which they begin, so that a hundred patterns below one `**`
    /// keep one state alive there.
    shared: HashMap<(StateId, Token), StateId>,
}

pub(crate) struct State {
    epsilon: Vec<StateId>,
    pub(crate) moves: Vec<(ByteSet, StateId)>,
    /// The named thing that this state was made for; others may share it.
    pub(crate) mark: u32,
    /// The named things that end here.
    pub(crate) accepts: Vec<u32>,
}

impl Nfa {
    pub(crate) fn state(&self, id: StateId) -> &State {
        &self.states[id as usize]
    }

    pub(crate) fn states(&self) -> &[State] {
        &self.states
    }

    /// The tail of a pattern, behind its literal prefix. Patterns with equal prefixes have the same `start`.
    pub(crate) fn add_tokens(&mut self, start: StateId, tokens: &[Token], mark: u32) {
        let mut end = start;
        for token in tokens {
            let key = (end, token.clone());
            end = if let Some(&known) = self.shared.get(&key) {
                known
            } else {
                let next = self.token(token, end, mark);
                self.shared.insert(key, next);
                next
            };
        }
        self.states[end as usize].accepts.push(mark);
    }

    /// What lies in a directory, behind its closing slash.
    pub(crate) fn add_contents(&mut self, recursive: bool, mark: u32) -> StateId {
        let start = self.new_state(mark);
        let inside = self.new_state(mark);
        let bytes = if recursive { ByteSet::all() } else { ByteSet::all().without(b'/') };
        self.states[start as usize].moves.push((bytes, inside));
        self.states[inside as usize].moves.push((bytes, inside));
        self.states[inside as usize].accepts.push(mark);
        start
    }

    /// The state accepts whatever follows.
    pub(crate) fn is_final(&self, id: StateId) -> bool {
        let state = self.state(id);
        !state.accepts.is_empty() && state.moves.contains(&(ByteSet::all(), id))
    }

    /// For each state, the earliest places of all that can still be accepted from it.
    pub(crate) fn still_possible(&self, settled: &Settled) -> Vec<Places> {
        let mut possible: Vec<Places> = vec![Places::NOWHERE; self.states.len()];
        let mut changed = true;
        while changed {
            changed = false;
            // Targets mostly have higher numbers, so few rounds are needed.
            for (id, state) in self.states.iter().enumerate().rev() {
                let accepted = state.accepts.iter().map(|&mark| settled.first[mark as usize]);
                let targets = state.epsilon.iter().chain(state.moves.iter().map(|(_, to)| to));
                let places = accepted
                    .chain(targets.map(|&to| possible[to as usize]))
                    .fold(possible[id], Places::earliest);
                changed |= places != possible[id];
                possible[id] = places;
            }
        }
        possible
    }

    /// The states reachable without a byte that move or accept, sorted.
    pub(crate) fn closure(&self, from: StateId) -> Vec<StateId> {
        let mut seen = vec![from];
        let mut next = 0;
        while let Some(&id) = seen.get(next) {
            for &target in &self.state(id).epsilon {
                if !seen.contains(&target) {
                    seen.push(target);
                }
            }
            next += 1;
        }
        seen.retain(|&id| !self.state(id).accepts.is_empty() || !self.state(id).moves.is_empty());
        seen.sort_unstable();
        seen
    }

    pub(crate) fn new_state(&mut self, mark: u32) -> StateId {
        let id = StateId::try_from(self.states.len()).unwrap_or(StateId::MAX);
        self.states.push(State { epsilon: vec![], moves: vec![], mark, accepts: vec![] });
        id
    }

    fn tokens(&mut self, tokens: &[Token], start: StateId, mark: u32) -> StateId {
        tokens.iter().fold(start, |from, token| self.token(token, from, mark))
    }

    fn token(&mut self, token: &Token, from: StateId, mark: u32) -> StateId {
        match token {
            Token::Literal(c) => self.characters(&[(*c, *c)], from, mark),
            Token::AnyCharacter => self.characters(&complement(&[('/', '/')]), from, mark),
            Token::Class(class) => self.characters(&class_ranges(class), from, mark),
            Token::Star => self.run(ByteSet::all().without(b'/'), from, mark),
            Token::DoubleStar => self.run(ByteSet::all(), from, mark),
            Token::Alternatives(alternatives) => {
                let end = self.new_state(mark);
                for alternative in alternatives {
                    let inner = self.new_state(mark);
                    self.states[from as usize].epsilon.push(inner);
                    let inner_end = self.tokens(alternative, inner, mark);
                    self.states[inner_end as usize].epsilon.push(end);
                }
                end
            }
        }
    }

    /// A state of its own, so that what came before is not repeated with the run.
    fn run(&mut self, bytes: ByteSet, from: StateId, mark: u32) -> StateId {
        let run = self.new_state(mark);
        self.states[from as usize].epsilon.push(run);
        self.states[run as usize].moves.push((bytes, run));
        run
    }

    /// One character out of sorted ranges, in UTF-8.
    fn characters(&mut self, ranges: &[(char, char)], from: StateId, mark: u32) -> StateId {
        let end = self.new_state(mark);
        for &(first, last) in ranges {
            for sequence in Utf8Sequences::new(first, last) {
                let bytes: Vec<_> = sequence.as_slice().iter().map(|r| (r.start, r.end)).collect();
                self.byte_sequence(&bytes, from, end, mark);
            }
        }
        end
    }

    fn byte_sequence(&mut self, ranges: &[(u8, u8)], from: StateId, end: StateId, mark: u32) {
        let Some((&(low, high), rest)) = ranges.split_first() else { return };
        let set = ByteSet::range(low, high);
        if rest.is_empty() {
            self.states[from as usize].moves.push((set, end));
            return;
        }
        let between = self.new_state(mark);
        self.states[from as usize].moves.push((set, between));
        self.byte_sequence(rest, between, end, mark);
    }
}

fn class_ranges(class: &CharacterClass) -> Vec<(char, char)> {
    let outside = complement(&class.ranges);
    if class.negated {
        let mut excluded = class.ranges.clone();
        excluded.push(('/', '/'));
        complement(&excluded)
    } else {
        let mut excluded = outside;
        excluded.push(('/', '/'));
        complement(&excluded)
    }
}

/// All characters outside the given ranges, as sorted ranges.
fn complement(ranges: &[(char, char)]) -> Vec<(char, char)> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut outside = Vec::new();
    let mut next = Some('\0');
    for (first, last) in sorted {
        let Some(from) = next else { break };
        if let Some(before) = predecessor(first).filter(|&before| before >= from) {
            outside.push((from, before));
        }
        if last >= from {
            next = successor(last);
        }
    }
    outside.extend(next.map(|from| (from, char::MAX)));
    outside
}

fn predecessor(c: char) -> Option<char> {
    (char::MIN..c).next_back()
}

fn successor(c: char) -> Option<char> {
    (c..=char::MAX).nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complements_skip_what_overlaps() {
        assert_eq!(complement(&[]), [('\0', char::MAX)]);
        assert_eq!(
            complement(&[('c', 'e'), ('b', 'd'), ('/', '/')]),
            [('\0', '.'), ('0', 'a'), ('f', char::MAX)]
        );
        assert_eq!(complement(&[('\0', char::MAX)]), []);
        assert_eq!(complement(&[('\0', '\u{d7ff}')]), [('\u{e000}', char::MAX)]);
    }
}
