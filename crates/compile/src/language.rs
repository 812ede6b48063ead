//! All paths there are, in classes that the rules of one or several rule sets do not tell apart, each with its shortest
//! path as a witness.
//!
//! What `ruleset::decide` says of a witness it says of every path of its class, so whoever looks at one access per class
//! has looked at all of them. Questions such as inclusion, overlap and equality of rules become loops over classes.

use std::{cmp::Reverse, collections::BinaryHeap};

use ruleset::{RuleId, RuleSet};
use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use crate::{
    CompileError,
    layout::{ROW_CLASS_MASK, ROW_MULTICALL},
    limits::PRODUCT_STATES,
    names::Names,
    settled::Settled,
    subset::Automaton,
};

/// Which rules of a path are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Every rule that covers it.
    All,
    /// At least those that can take part in a decision. Patterns that are open at both ends then do not multiply the
    /// classes.
    Deciding,
}

/// Paths that no rule tells apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathClass {
    /// Its shortest path; printable if the class has a printable one. For an applet of a multi-call binary the path is
    /// virtual: `/bin/busybox//cat`.
    pub witness: Vec<u8>,
    /// The paths are virtual: programs, never files.
    pub applet: bool,
    /// For each rule set in the order given, the rules whose object covers the paths, sorted.
    pub objects: Vec<Vec<RuleId>>,
    /// For each rule set, the rules among whose sources the paths are, sorted.
    pub sources: Vec<Vec<RuleId>>,
}

/// The classes of all canonical paths, the shortest witness first.
///
/// Rule sets that are compared are those of one workload: a binary that one of them calls multi-call counts as such.
pub fn path_classes(sets: &[&RuleSet], detail: Detail) -> Result<Vec<PathClass>, CompileError> {
    let sides = sets.iter().map(|set| Side::of(set, detail)).collect::<Result<Vec<_>, _>>()?;
    Search::new(&sides).run()
}

/// One rule set's automaton.
struct Side {
    automaton: Automaton,
    /// For each path class of the automaton, the rules by object and by source.
    objects: Vec<Vec<RuleId>>,
    sources: Vec<Vec<RuleId>>,
}

impl Side {
    fn of(set: &RuleSet, detail: Detail) -> Result<Self, CompileError> {
        let names = Names::gather(set)?;
        let settled = match detail {
            Detail::All => Settled::nothing(&names),
            Detail::Deciding => Settled::of(set, &names),
        };
        let automaton = Automaton::build(&names, &settled)?;
        let rules_of = |mark_of: &[Option<u32>]| -> Vec<Vec<RuleId>> {
            let mut by_mark = vec![vec![]; names.is_source.len()];
            for (id, mark) in (0..).zip(mark_of) {
                if let Some(mark) = mark {
                    by_mark[*mark as usize].push(id);
                }
            }
            let class = |marks: &Vec<u32>| {
                let mut rules: Vec<RuleId> =
                    marks.iter().flat_map(|&mark| &by_mark[mark as usize]).copied().collect();
                rules.sort_unstable();
                rules
            };
            automaton.path_classes.iter().map(class).collect()
        };
        let objects = rules_of(&names.object_of);
        let sources = rules_of(&names.source_of);
        Ok(Self { automaton, objects, sources })
    }

    fn step(&self, state: u32, byte: u8) -> u32 {
        let classes = &self.automaton.classes;
        self.automaton.successors[state as usize * classes.len() + classes.class_of(byte)]
    }

    fn path_class(&self, state: u32) -> u32 {
        self.automaton.outputs[state as usize] & ROW_CLASS_MASK
    }

    fn is_multicall(&self, state: u32) -> bool {
        self.automaton.outputs[state as usize] & ROW_MULTICALL != 0
    }
}

/// How much of a canonical path has been read.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Nothing,
    /// `/` alone, which is a path.
    Root,
    /// Behind a slash; `applet` if it follows a multi-call binary.
    Slash {
        applet: bool,
    },
    Dot,
    DotDot,
    Name,
    AppletSlash,
    Applet,
}

impl Form {
    /// `None` if no canonical path goes on like this.
    fn step(self, byte: u8, multicall: bool) -> Option<Self> {
        match (self, byte) {
            (Self::Nothing, b'/') => Some(Self::Root),
            (Self::Slash { applet: true }, b'/') => Some(Self::AppletSlash),
            (Self::Name, b'/') => Some(Self::Slash { applet: multicall }),
            (Self::Nothing, _) | (_, b'/') => None,
            (Self::Root | Self::Slash { .. }, b'.') => Some(Self::Dot),
            (Self::Dot, b'.') => Some(Self::DotDot),
            (Self::AppletSlash | Self::Applet, _) => Some(Self::Applet),
            _ => Some(Self::Name),
        }
    }

    fn is_path(self) -> bool {
        matches!(self, Self::Root | Self::Name | Self::Applet)
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    form: Form,
    /// One state of each automaton.
    at: Vec<u32>,
}

struct Found {
    state: State,
    /// Bytes that cannot be printed, then length; smaller is better.
    cost: (u32, u32),
    /// The state before and the byte that leads here.
    from: Option<(u32, u8)>,
}

/// A walk over the product of the automata, cheapest path first.
struct Search<'s> {
    sides: &'s [Side],
    /// One byte for each class that no automaton tells apart, readable ones first.
    alphabet: Vec<u8>,
    found: Vec<Found>,
    ids: HashMap<State, u32>,
    /// States by their cost, then by the order of discovery; out of date where a better way was found since.
    queue: BinaryHeap<Reverse<((u32, u32), u32)>>,
}

impl<'s> Search<'s> {
    fn new(sides: &'s [Side]) -> Self {
        let alphabet = alphabet(sides);
        Self { sides, alphabet, found: vec![], ids: HashMap::default(), queue: BinaryHeap::new() }
    }

    fn run(mut self) -> Result<Vec<PathClass>, CompileError> {
        let at = self.sides.iter().map(|side| side.automaton.start).collect();
        self.reach(State { form: Form::Nothing, at }, (0, 0), None);
        let mut known = HashSet::default();
        let mut classes = vec![];
        let mut root = None;
        while let Some(Reverse((cost, id))) = self.queue.pop() {
            if self.found[id as usize].cost != cost {
                continue;
            }
            let state = self.found[id as usize].state.clone();
            if state.form.is_path() {
                let sides = self.sides.iter().zip(&state.at);
                let key: Vec<u32> = sides.map(|(side, &at)| side.path_class(at)).collect();
                let applet = state.form == Form::Applet;
                // No program and rarely a file: a witness only for want of others.
                if state.form == Form::Root {
                    root = Some((id, key));
                } else if known.insert((applet, key.clone())) {
                    classes.push(self.class(id, applet, &key));
                }
            }
            self.expand(id, &state, cost);
            if self.found.len() > PRODUCT_STATES {
                return Err(CompileError::TooManyStates { limit: PRODUCT_STATES });
            }
        }
        if let Some((id, key)) = root.filter(|(_, key)| !known.contains(&(false, key.clone()))) {
            classes.insert(0, self.class(id, false, &key));
        }
        Ok(classes)
    }

    fn expand(&mut self, id: u32, state: &State, cost: (u32, u32)) {
        let multicall = self.sides.iter().zip(&state.at).any(|(side, &at)| side.is_multicall(at));
        for index in 0..self.alphabet.len() {
            let byte = self.alphabet[index];
            let Some(form) = state.form.step(byte, multicall) else { continue };
            let at = self.sides.iter().zip(&state.at).map(|(side, &at)| side.step(at, byte));
            let state = State { form, at: at.collect() };
            let unprintable = u32::from(!is_printable(byte));
            self.reach(state, (cost.0 + unprintable, cost.1 + 1), Some((id, byte)));
        }
    }

    fn reach(&mut self, state: State, cost: (u32, u32), from: Option<(u32, u8)>) {
        let next = u32::try_from(self.found.len()).unwrap_or(u32::MAX);
        let id = *self.ids.entry(state.clone()).or_insert(next);
        if id == next {
            self.found.push(Found { state, cost, from });
        } else if cost < self.found[id as usize].cost {
            self.found[id as usize].cost = cost;
            self.found[id as usize].from = from;
        } else {
            return;
        }
        self.queue.push(Reverse((cost, id)));
    }

    fn class(&self, id: u32, applet: bool, key: &[u32]) -> PathClass {
        let rules = |of: fn(&Side) -> &[Vec<RuleId>]| {
            let sides = self.sides.iter().zip(key);
            sides.map(|(side, &class)| of(side)[class as usize].clone()).collect()
        };
        PathClass {
            witness: self.witness(id),
            applet,
            objects: rules(|side| &side.objects),
            sources: rules(|side| &side.sources),
        }
    }

    fn witness(&self, mut id: u32) -> Vec<u8> {
        let mut path = vec![];
        while let Some((before, byte)) = self.found[id as usize].from {
            path.push(byte);
            id = before;
        }
        path.reverse();
        path
    }
}

/// Bytes that behave alike in every automaton are represented by the one that reads best. `/` and `.` have a meaning of
/// their own in paths.
fn alphabet(sides: &[Side]) -> Vec<u8> {
    let mut bytes: Vec<u8> = (1..=255).collect();
    bytes.sort_by_key(|&byte| legibility(byte));
    let mut known = HashSet::default();
    bytes.retain(|&byte| {
        let classes = sides.iter().map(|side| side.automaton.classes.class_of(byte));
        let key: Vec<usize> = classes.chain([usize::from(byte == b'.') + 1]).collect();
        known.insert(key)
    });
    bytes
}

/// The smallest reads best.
fn legibility(byte: u8) -> (u8, u8) {
    let rank = match byte {
        b'a'..=b'z' => 0,
        b'0'..=b'9' => 1,
        b'A'..=b'Z' => 2,
        b'-' | b'_' | b'.' | b'/' => 3,
        // Characters of patterns and shells, and the space, would mislead.
        b' ' | b'*' | b'?' | b'[' | b']' | b'{' | b'}' | b'\\' | b'\'' | b'"' | b'`' | b'$' => 5,
        _ if is_printable(byte) => 4,
        _ => 6,
    };
    (rank, byte)
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}
