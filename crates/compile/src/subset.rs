//! The deterministic automaton: subset construction, kept cheap by what is already deterministic.
//!
//! A state is a triple: a node of the path trie, a node of the name trie, and a set of live pattern states. Exact
//! paths and names thus never make the sets large; a set holds only the patterns and directories that are still
//! alive, and its successors are computed once, whatever the trie nodes beside it.

use std::rc::Rc;

use rustc_hash::FxHashMap as HashMap;

use crate::{
    CompileError,
    blame::too_large,
    bytes::{ByteClasses, ByteSet},
    layout::{ROW_CLASS_MASK, ROW_MULTICALL},
    limits::{Effort, PATTERN_REACH},
    moves::{Moves, has},
    names::Names,
    nfa::StateId,
    settled::{Places, Settled},
    trie::{ARGUMENTS, DEAD, NAMES, Node, PATHS},
};

/// An automaton over byte classes.
pub(crate) struct Automaton {
    pub(crate) classes: ByteClasses,
    /// Word 0 of each state's row.
    pub(crate) outputs: Vec<u32>,
    /// Successors, one per byte class, state after state.
    pub(crate) successors: Vec<u32>,
    /// A state with depth leads to deeper states and to states without depth only; states without depth lead to
    /// such states only.
    pub(crate) depths: Vec<Option<u32>>,
    pub(crate) start: u32,
    pub(crate) argument_start: u32,
    /// Where DNS names begin, if there are rules on them.
    pub(crate) domain_start: Option<u32>,
    /// The states of DNS names. No two of them are equal, since each knows how much of which domain it has seen.
    pub(crate) of_domains: Vec<bool>,
    /// The marks of each path class; those of class 0 are none.
    pub(crate) path_classes: Vec<Vec<u32>>,
    pub(crate) effort: Effort,
    /// See `blame`.
    pub(crate) weights: Vec<f64>,
}

impl Automaton {
    pub(crate) fn build(names: &Names, settled: &Settled) -> Result<Self, CompileError> {
        let mut machine = Machine::new(names, settled)?;
        machine.prepare_applets();
        let start_set = machine.spawned(SetId::EMPTY, PATHS);
        let start = machine.intern(Triple { path: PATHS, name: NAMES, set: start_set });
        let inert = machine.fixed_set(vec![]);
        let argument_start = machine.intern(Triple { path: ARGUMENTS, name: DEAD, set: inert });
        let domain_start = names.domains.map(|domains| {
            let set = machine.live_set(names.nfa.closure(domains));
            machine.intern(Triple { path: DEAD, name: DEAD, set })
        });
        machine.expand_all()?;
        let depth = |triple: &Triple| names.trie.get(triple.path).map(|node| node.depth);
        Ok(Self {
            effort: machine.effort(),
            weights: machine.weights(),
            depths: machine.triples.iter().map(depth).collect(),
            of_domains: machine
                .triples
                .iter()
                .map(|triple| machine.is_of_domains(triple.set))
                .collect(),
            domain_start,
            outputs: machine.outputs,
            successors: machine.successors,
            start,
            argument_start,
            path_classes: machine.path_classes,
            classes: machine.classes,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Triple {
    path: Node,
    name: Node,
    set: SetId,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct SetId(u32);

impl SetId {
    const EMPTY: Self = Self(0);
}

struct LiveSet {
    kind: SetKind,
    /// Marks of its accepting states, sorted.
    marks: Vec<u32>,
    /// Successor per byte class; empty until computed.
    steps: Vec<SetId>,
    /// State per byte class that has left both tries; [`UNKNOWN`] until needed.
    strays: Vec<u32>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum SetKind {
    /// Pattern states, sorted.
    Live(Rc<[StateId]>),
    /// Behind `//` of a multi-call binary, whose marks stay whatever the applet; also, without marks, for arguments.
    Fixed(Rc<[u32]>),
}

const UNKNOWN: u32 = u32::MAX;

struct Machine<'n> {
    names: &'n Names<'n>,
    settled: &'n Settled,
    /// Of each pattern state.
    still_possible: Vec<Places>,
    /// Likewise, whether it can accept nothing with a slash.
    ends_in_component: Vec<bool>,
    /// Likewise, where it ends the lists of rules whatever follows, and whatever follows without a slash.
    finals: Vec<Places>,
    finals_in_component: Vec<Places>,
    classes: ByteClasses,
    moves: Moves,
    slash: usize,
    sets: Vec<LiveSet>,
    set_ids: HashMap<SetKind, SetId>,
    combined_states: usize,
    unions: HashMap<(SetId, Node), SetId>,
    /// Closure of each pattern state.
    closures: Vec<Vec<StateId>>,
    /// Their sizes, added up.
    pattern_reach: usize,
    applet_sets: Vec<SetId>,
    triples: Vec<Triple>,
    ids: HashMap<Triple, u32>,
    outputs: Vec<u32>,
    successors: Vec<u32>,
    path_classes: Vec<Vec<u32>>,
    path_class_ids: HashMap<Vec<u32>, u32>,
}

impl<'n> Machine<'n> {
    fn new(names: &'n Names<'n>, settled: &'n Settled) -> Result<Self, CompileError> {
        let (closures, pattern_reach) = closures(names)?;
        let singles = names.trie.edge_bytes().chain([b'/']).map(ByteSet::one);
        let mut ranges: Vec<_> =
            names.nfa.states().iter().flat_map(|s| s.moves.iter().map(|&(set, _)| set)).collect();
        ranges.sort_unstable();
        ranges.dedup();
        let classes = ByteClasses::of_sets(singles.chain(ranges));
        let mut machine = Self {
            names,
            settled,
            still_possible: names.nfa.still_possible(settled),
            ends_in_component: names.nfa.ends_in_component(),
            finals: names.nfa.finals(settled, true),
            finals_in_component: names.nfa.finals(settled, false),
            slash: classes.class_of(b'/'),
            moves: Moves::of(&names.nfa, &classes),
            classes,
            sets: vec![],
            set_ids: HashMap::default(),
            combined_states: 0,
            unions: HashMap::default(),
            closures,
            pattern_reach,
            applet_sets: vec![],
            triples: vec![],
            ids: HashMap::default(),
            outputs: vec![],
            successors: vec![],
            path_classes: vec![vec![]],
            path_class_ids: HashMap::from_iter([(vec![], 0)]),
        };
        machine.intern_set(SetKind::Live(Rc::from([])));
        Ok(machine)
    }

    /// Walks every multi-call binary to learn the marks that all its applets share.
    fn prepare_applets(&mut self) {
        for binary in &self.names.multicall {
            let set = self.spawned(SetId::EMPTY, PATHS);
            let mut at = Triple { path: PATHS, name: NAMES, set };
            for &byte in binary.as_bytes() {
                at = self.step(at, byte);
            }
            let marks = self.marks(at);
            let fixed = self.fixed_set(marks);
            self.applet_sets.push(fixed);
        }
    }

    fn expand_all(&mut self) -> Result<(), CompileError> {
        let mut next = 0;
        while next < self.triples.len() {
            self.check_size()?;
            self.expand(next);
            next += 1;
        }
        Ok(())
    }

    /// Appends the row of a state. States are expanded in the order of their numbers.
    fn expand(&mut self, id: usize) {
        let names = self.names;
        let from = self.triples[id];
        self.compute_steps(from.set);
        let row = self.successors.len();
        self.successors.resize(row + self.classes.len(), UNKNOWN);
        let continued = names.trie.children(from.path).iter();
        let continued = continued.chain(names.trie.children(from.name));
        for &(byte, _) in continued {
            let cell = row + self.classes.class_of(byte);
            if self.successors[cell] == UNKNOWN {
                let target = self.step(from, byte);
                self.successors[cell] = self.intern(target);
            }
        }
        for class in 0..self.classes.len() {
            if self.successors[row + class] == UNKNOWN {
                self.successors[row + class] = self.stray(from.set, class);
            }
        }
    }

    /// The state behind a byte that neither trie goes on with.
    fn stray(&mut self, set: SetId, class: usize) -> u32 {
        let known = self.sets[set.0 as usize].strays[class];
        if known != UNKNOWN {
            return known;
        }
        let name = self.restarted(set, class).unwrap_or(DEAD);
        let target = self.sets[set.0 as usize].steps[class];
        let id = self.intern(Triple { path: DEAD, name, set: target });
        self.sets[set.0 as usize].strays[class] = id;
        id
    }

    fn step(&mut self, from: Triple, byte: u8) -> Triple {
        self.compute_steps(from.set);
        let class = self.classes.class_of(byte);
        let path = self.names.trie.child(from.path, byte);
        let name = self
            .restarted(from.set, class)
            .unwrap_or_else(|| self.names.trie.child(from.name, byte));
        let set = self.sets[from.set.0 as usize].steps[class];
        if self.is_fixed(from.set) {
            return Triple { path, name, set };
        }
        match self.names.trie.get(path).and_then(|node| node.applets_of) {
            Some(binary) if !self.applet_sets.is_empty() => {
                Triple { path, name: NAMES, set: self.applet_sets[binary as usize] }
            }
            _ => Triple { path, name, set: self.spawned(set, path) },
        }
    }

    /// A slash begins a new last component, except within an applet's name.
    fn restarted(&self, set: SetId, class: usize) -> Option<Node> {
        let in_path = !self.is_fixed(set) && !self.is_of_domains(set);
        (class == self.slash && in_path).then_some(NAMES)
    }

    fn is_fixed(&self, set: SetId) -> bool {
        matches!(self.sets[set.0 as usize].kind, SetKind::Fixed(_))
    }

    fn is_of_domains(&self, set: SetId) -> bool {
        let SetKind::Live(states) = &self.sets[set.0 as usize].kind else { return false };
        self.names.domains.is_some_and(|start| states.binary_search(&start).is_ok())
    }

    fn compute_steps(&mut self, id: SetId) {
        if !self.sets[id.0 as usize].steps.is_empty() {
            return;
        }
        let steps = match self.sets[id.0 as usize].kind.clone() {
            SetKind::Fixed(_) => vec![id; self.classes.len()],
            SetKind::Live(states) if states.is_empty() => vec![SetId::EMPTY; self.classes.len()],
            SetKind::Live(states) => self.live_steps(&states),
        };
        self.sets[id.0 as usize].steps = steps;
    }

    /// Computes one successor per group of byte classes that the live states do not tell apart.
    fn live_steps(&mut self, states: &[StateId]) -> Vec<SetId> {
        let moves = self.moves.of_states(states);
        let taken = self.moves.taken_by_class(&moves);
        let mut successor_of: HashMap<&[u64], SetId> = HashMap::default();
        let mut steps = Vec::with_capacity(self.classes.len());
        for class in 0..self.classes.len() {
            let row = self.moves.row(&taken, class);
            let successor = successor_of.get(row).copied().unwrap_or_else(|| {
                let mut next: Vec<StateId> = moves
                    .iter()
                    .filter(|&&(set, _)| has(row, set))
                    .flat_map(|&(_, target)| self.closures[target as usize].iter().copied())
                    .collect();
                next.sort_unstable();
                next.dedup();
                self.live_set(next)
            });
            successor_of.insert(row, successor);
            steps.push(successor);
        }
        steps
    }

    /// The set together with what comes alive at a trie node.
    fn spawned(&mut self, set: SetId, node: Node) -> SetId {
        let Some(data) = self.names.trie.get(node).filter(|data| !data.spawns.is_empty()) else {
            return set;
        };
        if let Some(&known) = self.unions.get(&(set, node)) {
            return known;
        }
        let SetKind::Live(states) = &self.sets[set.0 as usize].kind else { return set };
        let mut states = states.to_vec();
        states.extend(&data.spawns);
        states.sort_unstable();
        states.dedup();
        let union = self.live_set(states);
        self.unions.insert((set, node), union);
        union
    }

    /// Where a state accepts for good, states that can only lead to what comes behind it are dropped. Where it does
    /// up to the next slash, so are those that need no slash.
    fn live_set(&mut self, mut states: Vec<StateId>) -> SetId {
        let ends = earliest(&states, &self.finals);
        if ends != Places::NOWHERE {
            states.retain(|&id| !self.still_possible[id as usize].are_behind(ends));
        }
        let ends = earliest(&states, &self.finals_in_component);
        if ends != Places::NOWHERE {
            states.retain(|&id| {
                !self.ends_in_component[id as usize]
                    || !self.still_possible[id as usize].are_behind(ends)
            });
        }
        self.intern_set(SetKind::Live(states.into()))
    }

    fn fixed_set(&mut self, marks: Vec<u32>) -> SetId {
        self.intern_set(SetKind::Fixed(marks.into()))
    }

    fn intern_set(&mut self, kind: SetKind) -> SetId {
        if let Some(&known) = self.set_ids.get(&kind) {
            return known;
        }
        let marks = match &kind {
            SetKind::Fixed(marks) => marks.to_vec(),
            SetKind::Live(states) => sorted(
                states.iter().flat_map(|&id| self.names.nfa.state(id).accepts.iter().copied()),
            ),
        };
        if let SetKind::Live(states) = &kind {
            self.combined_states += states.len();
        }
        let id = SetId(u32::try_from(self.sets.len()).unwrap_or(UNKNOWN));
        let strays = vec![UNKNOWN; self.classes.len()];
        self.sets.push(LiveSet { kind: kind.clone(), marks, steps: vec![], strays });
        self.set_ids.insert(kind, id);
        id
    }

    fn intern(&mut self, triple: Triple) -> u32 {
        if let Some(&known) = self.ids.get(&triple) {
            return known;
        }
        let id = u32::try_from(self.triples.len()).unwrap_or(UNKNOWN);
        self.ids.insert(triple, id);
        self.triples.push(triple);
        let output = self.output(triple);
        self.outputs.push(output);
        id
    }

    fn output(&mut self, triple: Triple) -> u32 {
        let node = self.names.trie.get(triple.path);
        if let Some(argument) = node.and_then(|node| node.argument) {
            return argument + 1;
        }
        let multicall = node.is_some_and(|node| node.multicall) && !self.is_fixed(triple.set);
        let marks = self.marks(triple);
        let class = if let Some(&known) = self.path_class_ids.get(&marks) {
            known
        } else {
            let class = u32::try_from(self.path_classes.len()).unwrap_or(UNKNOWN);
            self.path_classes.push(marks.clone());
            self.path_class_ids.insert(marks, class);
            class
        };
        class & ROW_CLASS_MASK | if multicall { ROW_MULTICALL } else { 0 }
    }

    fn marks(&self, at: Triple) -> Vec<u32> {
        let trie = &self.names.trie;
        let set = &self.sets[at.set.0 as usize].marks;
        let exact = [at.path, at.name].into_iter().filter_map(|node| trie.get(node));
        let exact = exact.flat_map(|node| &node.exact);
        let directories = trie.get(at.path).filter(|_| !self.is_fixed(at.set));
        let directories = directories.into_iter().flat_map(|node| &node.directories);
        let mut marks = sorted(set.iter().chain(exact).chain(directories).copied());
        self.settled.reduce(&mut marks);
        marks
    }

    fn effort(&self) -> Effort {
        Effort {
            pattern_reach: self.pattern_reach,
            combinations: self.sets.len(),
            combined_states: self.combined_states,
            transitions: self.triples.len() * self.classes.len(),
            ..self.names.effort()
        }
    }

    fn check_size(&self) -> Result<(), CompileError> {
        let effort = self.effort();
        if effort.beyond().is_none() {
            return Ok(());
        }
        Err(too_large(self.names, effort, &self.weights()))
    }

    /// How much each mark contributes to the number of sets. A state that is alive nearly always or hardly ever tells
    /// few sets apart, one that is alive in half of them doubles their number: that is its entropy.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn weights(&self) -> Vec<f64> {
        let mut weights = vec![0.0; self.names.rule_of.len()];
        if self.sets.len() * 4 < self.triples.len() {
            return weights;
        }
        let mut alive = vec![0_u32; self.closures.len()];
        for set in &self.sets {
            let SetKind::Live(states) = &set.kind else { continue };
            for &state in states.iter() {
                alive[state as usize] += 1;
            }
        }
        for (state, alive) in self.names.nfa.states().iter().zip(alive) {
            let share = f64::from(alive) / self.sets.len() as f64;
            let entropy = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
            weights[state.mark as usize] += entropy(share) + entropy(1.0 - share);
        }
        weights
    }
}

/// The closures of all pattern states, and the sum of their sizes.
fn closures(names: &Names) -> Result<(Vec<Vec<StateId>>, usize), CompileError> {
    let mut closures = Vec::with_capacity(names.nfa.states().len());
    let mut reach = 0;
    for (id, _) in (0..).zip(names.nfa.states()) {
        let closure = names.nfa.closure(id);
        reach += closure.len();
        closures.push(closure);
        if reach > PATTERN_REACH {
            let mut weights = vec![0.0; names.rule_of.len()];
            for (closure, state) in closures.iter().zip(names.nfa.states()) {
                let size = u32::try_from(closure.len()).unwrap_or(u32::MAX);
                weights[state.mark as usize] += f64::from(size);
            }
            let effort = Effort { pattern_reach: reach, ..names.effort() };
            return Err(too_large(names, effort, &weights));
        }
    }
    Ok((closures, reach))
}

fn earliest(states: &[StateId], places: &[Places]) -> Places {
    states.iter().map(|&id| places[id as usize]).fold(Places::NOWHERE, Places::earliest)
}

fn sorted(marks: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut marks: Vec<u32> = marks.collect();
    marks.sort_unstable();
    marks.dedup();
    marks
}
