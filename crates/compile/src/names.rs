//! What the rules of a set name, each once, and its entry into the trie and the automaton.
//!
//! A *mark* stands for one distinct object or source set. What a path is, as far as rules can tell, is the set of
//! its marks.

use std::collections::{BTreeMap, BTreeSet};

use policy::PathObject;
use ruleset::{Glob, Object, PathSet, RuleId, RuleSet, SubjectPath, SyscallObject, Token};

use crate::{
    CompileError,
    blame::too_large,
    layout::ARG_SET_WORDS,
    limits::{Effort, PATTERN_STATES},
    nfa::{Nfa, StateId},
    trie::{ARGUMENTS, NAMES, PATHS, Trie},
};

/// Bits of an argument bitmap; bit 0 would be "no known argument" and stays unused.
const MAX_ARGUMENTS: usize = ARG_SET_WORDS * 32 - 1;

pub(crate) struct Names<'s> {
    pub(crate) set: &'s RuleSet,
    pub(crate) trie: Trie,
    pub(crate) nfa: Nfa,
    /// Where in the trie states of the automaton come alive: behind literal prefixes and directories.
    starts: BTreeMap<String, Vec<StateId>>,
    /// Where the name of a DNS query begins, if there are rules on names.
    pub(crate) domains: Option<StateId>,
    /// The start of all patterns with one literal prefix.
    pattern_starts: BTreeMap<String, StateId>,
    /// Multi-call binaries by their number in the trie.
    pub(crate) multicall: Vec<String>,
    /// Mark of the object of each rule; `None` for objects that are no paths.
    pub(crate) object_of: Vec<Option<u32>>,
    /// Mark of the source set of each rule.
    pub(crate) source_of: Vec<Option<u32>>,
    /// The rule that each mark was first met in, for errors.
    pub(crate) rule_of: Vec<RuleId>,
    /// Whether a mark stands for a source set.
    pub(crate) is_source: Vec<bool>,
    /// Allowed arguments, numbered from 0.
    pub(crate) arguments: BTreeMap<String, u32>,
}

impl<'s> Names<'s> {
    pub(crate) fn gather(set: &'s RuleSet) -> Result<Self, CompileError> {
        let mut names = Self {
            set,
            trie: Trie::new(),
            nfa: Nfa::default(),
            starts: BTreeMap::new(),
            domains: None,
            pattern_starts: BTreeMap::new(),
            multicall: vec![],
            object_of: vec![None; set.rules.len()],
            source_of: vec![None; set.rules.len()],
            rule_of: vec![],
            is_source: vec![],
            arguments: BTreeMap::new(),
        };
        names.add_objects(set)?;
        names.add_watched_sources(set)?;
        names.plant_starts();
        names.add_domains(set);
        names.add_sources(set)?;
        names.add_arguments(set)?;
        names.add_multicall(&set.multicall);
        names.check_size()?;
        names.trie.sort_marks();
        Ok(names)
    }

    fn add_objects(&mut self, set: &RuleSet) -> Result<(), CompileError> {
        let mut known: BTreeMap<&PathSet, u32> = BTreeMap::new();
        for (id, rule) in set.numbered() {
            let Some(paths) = paths_of(&rule.object) else { continue };
            let mark = if let Some(&mark) = known.get(paths) {
                mark
            } else {
                let mark = self.new_mark(id, false);
                for object in std::iter::once(&paths.named).chain(&paths.linked) {
                    self.add_object(object, mark, set, id)?;
                    self.check_size()?;
                }
                known.insert(paths, mark);
                mark
            };
            self.object_of[id as usize] = Some(mark);
        }
        Ok(())
    }

    fn add_object(
        &mut self,
        object: &PathObject,
        mark: u32,
        set: &RuleSet,
        rule: RuleId,
    ) -> Result<(), CompileError> {
        match object {
            PathObject::Path(path) => self.trie.insert(PATHS, path.as_bytes()).exact.push(mark),
            PathObject::ExecName(name) => self.trie.insert(NAMES, name.as_bytes()).exact.push(mark),
            PathObject::Directory { dir, recursive } => {
                let dir = dir.strip_suffix('/').unwrap_or(dir);
                let itself = if dir.is_empty() { "/" } else { dir };
                self.trie.insert(PATHS, itself.as_bytes()).directories.push(mark);
                let contents = self.nfa.add_contents(*recursive, mark);
                self.starts.entry(format!("{dir}/")).or_default().push(contents);
            }
            PathObject::Pattern(pattern) => {
                let glob = Glob::parse(pattern).map_err(|error| {
                    let origin = &set.rules[rule as usize].origin;
                    CompileError::pattern(origin, pattern, error)
                })?;
                let literals =
                    glob.tokens.iter().take_while(|t| matches!(t, Token::Literal(_))).count();
                let start = self.pattern_start(glob.literal_prefix(), mark);
                self.nfa.add_tokens(start, &glob.tokens[literals..], mark);
            }
        }
        Ok(())
    }

    fn pattern_start(&mut self, prefix: String, mark: u32) -> StateId {
        if let Some(&known) = self.pattern_starts.get(&prefix) {
            return known;
        }
        let start = self.nfa.new_state(mark);
        self.starts.entry(prefix.clone()).or_default().push(start);
        self.pattern_starts.insert(prefix, start);
        start
    }

    /// Once all patterns are known: their common start may still have grown until then.
    fn plant_starts(&mut self) {
        for (prefix, starts) in std::mem::take(&mut self.starts) {
            let alive = starts.into_iter().flat_map(|start| self.nfa.closure(start)).collect();
            self.trie.insert(PATHS, prefix.as_bytes()).spawns = alive;
        }
    }

    pub(crate) fn effort(&self) -> Effort {
        Effort {
            literal_bytes: self.trie.len(),
            pattern_states: self.nfa.states().len(),
            ..Effort::default()
        }
    }

    /// While they are gathered: nothing may grow far beyond its limit.
    fn check_size(&self) -> Result<(), CompileError> {
        let effort = self.effort();
        if effort.beyond().is_none() {
            return Ok(());
        }
        let mut weights = vec![0.0; self.rule_of.len()];
        if effort.pattern_states > PATTERN_STATES {
            for state in self.nfa.states() {
                weights[state.mark as usize] += 1.0;
            }
        }
        Err(too_large(self, effort, &weights))
    }

    /// A name is read from its first label on, each with a dot before it; so all domains begin at the same state, again
    /// at every dot.
    fn add_domains(&mut self, set: &RuleSet) {
        let mut known: BTreeMap<&str, u32> = BTreeMap::new();
        for (id, rule) in set.numbered() {
            let Object::Dns(domain) = &rule.object else { continue };
            let mark = if let Some(&mark) = known.get(domain.as_str()) {
                mark
            } else {
                let mark = self.new_mark(id, false);
                let start = *self.domains.get_or_insert_with(|| self.nfa.add_anywhere(mark));
                let tokens: Vec<Token> = format!(".{domain}").chars().map(Token::Literal).collect();
                self.nfa.add_tokens(start, &tokens, mark);
                known.insert(domain, mark);
                mark
            };
            self.object_of[id as usize] = Some(mark);
        }
    }

    fn add_sources(&mut self, set: &RuleSet) -> Result<(), CompileError> {
        let mut known: BTreeMap<&BTreeSet<SubjectPath>, u32> = BTreeMap::new();
        for (id, rule) in set.numbered() {
            let Some(source) = &rule.source else { continue };
            let mark = if let Some(&mark) = known.get(source) {
                mark
            } else {
                let mark = self.new_mark(id, true);
                for path in source {
                    self.trie.insert(PATHS, path.as_bytes()).exact.push(mark);
                }
                self.check_size()?;
                known.insert(source, mark);
                mark
            };
            self.source_of[id as usize] = Some(mark);
        }
        Ok(())
    }

    /// Those of system call rules, which may be directories.
    fn add_watched_sources(&mut self, set: &RuleSet) -> Result<(), CompileError> {
        let mut known: BTreeMap<&BTreeSet<PathObject>, u32> = BTreeMap::new();
        for (id, rule) in set.numbered() {
            let Object::Syscall(SyscallObject { sources: Some(sources), .. }) = &rule.object else {
                continue;
            };
            let mark = if let Some(&mark) = known.get(sources) {
                mark
            } else {
                let mark = self.new_mark(id, true);
                for source in sources {
                    self.add_object(source, mark, set, id)?;
                }
                known.insert(sources, mark);
                mark
            };
            self.source_of[id as usize] = Some(mark);
        }
        Ok(())
    }

    fn add_arguments(&mut self, set: &RuleSet) -> Result<(), CompileError> {
        for rule in &set.rules {
            for argument in rule.allowed_args.iter().flatten() {
                let next = self.arguments.len();
                if !self.arguments.contains_key(argument) && next >= MAX_ARGUMENTS {
                    return Err(CompileError::TooManyArguments {
                        origin: rule.origin.to_string(),
                        limit: MAX_ARGUMENTS,
                    });
                }
                let number = u32::try_from(next).unwrap_or(u32::MAX);
                let number = *self.arguments.entry(argument.clone()).or_insert(number);
                self.trie.insert(ARGUMENTS, argument.as_bytes()).argument = Some(number);
            }
        }
        Ok(())
    }

    fn add_multicall(&mut self, binaries: &BTreeSet<String>) {
        // Anything else could not be the part before the `//` of a virtual path.
        let canonical = |binary: &&String| {
            binary.starts_with('/') && !binary.contains("//") && !binary.ends_with('/')
        };
        for binary in binaries.iter().filter(canonical) {
            let number = u32::try_from(self.multicall.len()).unwrap_or(u32::MAX);
            self.multicall.push(binary.clone());
            self.trie.insert(PATHS, binary.as_bytes()).multicall = true;
            let applets = format!("{binary}//");
            self.trie.insert(PATHS, applets.as_bytes()).applets_of = Some(number);
        }
    }

    fn new_mark(&mut self, rule: RuleId, is_source: bool) -> u32 {
        self.rule_of.push(rule);
        self.is_source.push(is_source);
        u32::try_from(self.rule_of.len() - 1).unwrap_or(u32::MAX)
    }
}

/// The paths that a rule's object names, if it names any.
fn paths_of(object: &Object) -> Option<&PathSet> {
    match object {
        Object::Process(paths) | Object::File(paths) => Some(paths),
        Object::Syscall(watched) => watched.path.as_ref(),
        Object::Network(_) | Object::Dns(_) | Object::Capability(_) | Object::Preset(_) => None,
    }
}
