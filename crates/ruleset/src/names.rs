//! Names that the filters of selectors tell apart: for each way to pass some filters and fail the others, a name.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use regex_automata::{
    Anchored, MatchKind,
    dfa::{Automaton, StartKind, dense},
    util::{primitives::StateID, start},
};

/// How many states the walk over all filters may tell apart.
const MAX_STATES: usize = 1 << 14;
/// How large the automaton of one filter may be.
const MAX_BYTES: usize = 1 << 20;

/// What names usually consist of, first what reads best.
const ALPHABET: &[u8] =
    b"abcdefghijklmnopqrstuvwxyz0123456789-._ABCDEFGHIJKLMNOPQRSTUVWXYZ/:@+~=,# !$%&()*;<>?[]^{}|";

/// One name for each distinct set of filters that a name can pass; and whether these are all there are. A filter is a
/// regular expression for the whole name.
pub(crate) fn telling_names(filters: &BTreeSet<String>, usual: &str) -> (Vec<String>, bool) {
    let build = |filter: &String| {
        dense::Builder::new()
            .configure(
                dense::Config::new()
                    .start_kind(StartKind::Anchored)
                    .match_kind(MatchKind::All)
                    .dfa_size_limit(Some(MAX_BYTES))
                    .determinize_size_limit(Some(8 * MAX_BYTES)),
            )
            .build(filter)
            .ok()
    };
    let automata: Vec<_> = filters.iter().filter_map(build).collect();
    let complete = automata.len() == filters.len();
    let (names, explored) = walk(&automata, usual);
    (names, complete && explored)
}

type Dfa = dense::DFA<Vec<u32>>;

fn walk(automata: &[Dfa], usual: &str) -> (Vec<String>, bool) {
    let anchored = start::Config::new().anchored(Anchored::Yes);
    let begin: Option<Vec<StateID>> =
        automata.iter().map(|dfa| dfa.start_state(&anchored).ok()).collect();
    let Some(begin) = begin else { return (vec![usual.to_owned()], false) };
    let passed = |states: &[StateID]| -> Vec<bool> {
        let ends = automata.iter().zip(states);
        ends.map(|(dfa, &state)| dfa.is_match_state(dfa.next_eoi_state(state))).collect()
    };
    let after = |states: &[StateID], byte: u8| -> Vec<StateID> {
        automata.iter().zip(states).map(|(dfa, &state)| dfa.next_state(state, byte)).collect()
    };
    let end = usual.bytes().fold(begin.clone(), |states, byte| after(&states, byte));
    let mut names = BTreeMap::from([(passed(&end), usual.to_owned())]);
    let mut seen = BTreeSet::from([begin.clone()]);
    let mut queue = VecDeque::from([(begin, String::new())]);
    while let Some((states, name)) = queue.pop_front() {
        if !name.is_empty() {
            names.entry(passed(&states)).or_insert_with(|| name.clone());
        }
        for &byte in ALPHABET {
            let next = after(&states, byte);
            if seen.insert(next.clone()) {
                if seen.len() > MAX_STATES {
                    return (names.into_values().collect(), false);
                }
                let mut longer = name.clone();
                longer.push(char::from(byte));
                queue.push_back((next, longer));
            }
        }
    }
    (names.into_values().collect(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(filters: &[&str]) -> Vec<String> {
        let filters = filters.iter().map(|&filter| filter.to_owned()).collect();
        let (mut names, complete) = telling_names(&filters, "main");
        assert!(complete);
        names.sort();
        names
    }

    #[test]
    fn every_way_to_pass_and_fail_has_a_name() {
        assert_eq!(names(&[]), ["main"]);
        assert_eq!(names(&["web"]), ["main", "web"]);
        assert_eq!(names(&["w[0-9]+", "w[0-4]+"]), ["main", "w0", "w5"]);
        assert_eq!(names(&["a.*", ".*b"]), ["a", "ab", "b", "main"]);
        assert_eq!(names(&["main"]), ["a", "main"]);
    }
}
