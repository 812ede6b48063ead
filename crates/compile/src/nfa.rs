//! The part of what rules name that is no literal: pattern tails and directory contents, as a nondeterministic
//! automaton over bytes.

use regex_syntax::utf8::Utf8Sequences;
use ruleset::{CharacterClass, Token};
use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

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
    /// To the state itself or to states with higher numbers.
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

    /// For each state that accepts whatever follows, where that ends the lists of rules; with `and_slashes`, else
    /// only up to the next slash.
    pub(crate) fn finals(&self, settled: &Settled, and_slashes: bool) -> Vec<Places> {
        let all = ByteSet::all();
        let bytes = if and_slashes { all } else { all.without(b'/') };
        let ends = |(id, state): (StateId, &State)| {
            let accepts = state.accepts.iter().filter(|_| state.moves.contains(&(bytes, id)));
            accepts.map(|&mark| settled.ends[mark as usize]).fold(Places::NOWHERE, Places::earliest)
        };
        (0..).zip(&self.states).map(ends).collect()
    }

    /// For each state, whether nothing with a slash can be accepted from it.
    pub(crate) fn ends_in_component(&self) -> Vec<bool> {
        let mut ends = vec![true; self.states.len()];
        // A state leads to itself or to states with higher numbers only.
        for (id, state) in self.states.iter().enumerate().rev() {
            let moves = state.moves.iter().all(|&(bytes, to)| {
                !bytes.contains(b'/') && (to as usize == id || ends[to as usize])
            });
            ends[id] = moves && state.epsilon.iter().all(|&to| ends[to as usize]);
        }
        ends
    }

    /// A state that stays alive whatever comes, for what may begin anywhere.
    pub(crate) fn add_anywhere(&mut self, mark: u32) -> StateId {
        let start = self.new_state(mark);
        self.states[start as usize].moves.push((ByteSet::all(), start));
        start
    }

    /// For each state, the earliest places of all that can still be accepted from it.
    pub(crate) fn still_possible(&self, settled: &Settled) -> Vec<Places> {
        let mut possible: Vec<Places> = vec![Places::NOWHERE; self.states.len()];
        // A state leads to itself or to states with higher numbers only.
        for (id, state) in self.states.iter().enumerate().rev() {
            let accepted = state.accepts.iter().map(|&mark| settled.first[mark as usize]);
            let targets = state.epsilon.iter().chain(state.moves.iter().map(|(_, to)| to));
            possible[id] = accepted
                .chain(targets.map(|&to| possible[to as usize]))
                .fold(possible[id], Places::earliest);
        }
        possible
    }

    /// The states reachable without a byte that move or accept, sorted.
    pub(crate) fn closure(&self, from: StateId) -> Vec<StateId> {
        let mut reached = vec![from];
        let mut seen = HashSet::from_iter([from]);
        let mut next = 0;
        while let Some(&id) = reached.get(next) {
            let targets = self.state(id).epsilon.iter();
            reached.extend(targets.filter(|&&target| seen.insert(target)));
            next += 1;
        }
        reached
            .retain(|&id| !self.state(id).accepts.is_empty() || !self.state(id).moves.is_empty());
        reached.sort_unstable();
        reached
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
                let mut inner_ends = vec![];
                for alternative in alternatives {
                    let inner = self.new_state(mark);
                    self.states[from as usize].epsilon.push(inner);
                    inner_ends.push(self.tokens(alternative, inner, mark));
                }
                let end = self.new_state(mark);
                for inner_end in inner_ends {
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
        let mut last_moves = vec![];
        for &(first, last) in ranges {
            for sequence in Utf8Sequences::new(first, last) {
                let mut at = from;
                let [leading @ .., final_range] = sequence.as_slice() else { continue };
                for range in leading {
                    let between = self.new_state(mark);
                    let bytes = ByteSet::range(range.start, range.end);
                    self.states[at as usize].moves.push((bytes, between));
                    at = between;
                }
                last_moves.push((at, ByteSet::range(final_range.start, final_range.end)));
            }
        }
        let end = self.new_state(mark);
        for (from, bytes) in last_moves {
            self.states[from as usize].moves.push((bytes, end));
        }
        end
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
