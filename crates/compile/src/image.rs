//! The words of an image, in the order in which they are found: header, byte class map, tables, plans, rows.

use rustc_hash::FxHashMap as HashMap;

use policy::{Action, syscall};
use ruleset::{Class, Object, Precedence, Rule, RuleId, RuleSet, SyscallObject, precedence};

use crate::{
    CompileError,
    blame::too_large,
    futures::{Futures, signatures},
    interpret,
    layout::{
        self, ARG_SET_WORDS, CAPABILITIES, HEADER_WORDS, MAGIC, PRESETS, RULE_NONE, SOCKET_CLASSES,
        SYSCALL_OPENS, SYSCALLS, VERSION, at, has,
    },
    limits::{Effort, IMAGE_WORDS},
    minimize::{Minimal, minimize},
    names::Names,
    plan::{Operation, Plan, Planner},
    rows::{Rows, column},
    settled::Settled,
    socket,
    subset::Automaton,
    tables::Tables,
};

/// Calls whose path is known when they open it, and which may create it before.
const OPENING_CALLS: [&str; 4] = ["creat", "open", "openat", "openat2"];

/// Argument sets that a step can name.
const MAX_ARGUMENT_SETS: usize = 1 << 16;

/// The compiled form of one rule set, as the kernel reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub words: Vec<u32>,
}

impl Image {
    /// The row behind a canonical path, by which the kernel programs know what rules say of it.
    pub fn row(&self, path: &str) -> u32 {
        interpret::row(&self.words, path.as_bytes())
    }
}

/// Compiles a rule set into the image that gives the decisions of [`ruleset::decide`].
pub fn compile(set: &RuleSet) -> Result<Image, CompileError> {
    let names = Names::gather(set)?;
    let settled = Settled::of(set, &names);
    let automaton = Automaton::build(&names, &settled)?;
    let minimal = minimize(&automaton);
    let mut writer = Writer::new(set, &names, &automaton);
    writer.path_tables()?;
    writer.socket_table()?;
    writer.capability_table()?;
    writer.preset_table()?;
    writer.unreadable_query()?;
    writer.syscall_tables()?;
    writer.argument_sets()?;
    writer.rows(&minimal);
    let mut words = writer.words;
    if words.len() > IMAGE_WORDS {
        let effort = Effort { words: words.len(), ..automaton.effort };
        return Err(too_large(&names, effort, &automaton.weights));
    }
    words[at::WORDS] = number(words.len());
    Ok(Image { words })
}

struct Writer<'s> {
    words: Vec<u32>,
    set: &'s RuleSet,
    names: &'s Names<'s>,
    automaton: &'s Automaton,
    planner: Planner<'s>,
    precedence: Vec<Precedence>,
    /// The source marks of each source class; those of class 0 are none.
    source_classes: Vec<Vec<u32>>,
    /// The source classes that have a mark.
    classes_of_source: HashMap<u32, Vec<usize>>,
    plan_of_rules: HashMap<(Class, bool, Vec<RuleId>), u32>,
    plan_offsets: HashMap<Plan, u32>,
    line_offsets: HashMap<Vec<u32>, u32>,
}

impl<'s> Writer<'s> {
    fn new(set: &'s RuleSet, names: &'s Names<'s>, automaton: &'s Automaton) -> Self {
        let mut writer = Self {
            words: vec![0; HEADER_WORDS],
            set,
            names,
            automaton,
            planner: Planner::new(set, names),
            precedence: set.numbered().map(|(id, rule)| precedence(id, rule)).collect(),
            source_classes: vec![vec![]],
            classes_of_source: HashMap::default(),
            plan_of_rules: HashMap::default(),
            plan_offsets: HashMap::default(),
            line_offsets: HashMap::default(),
        };
        writer.words[at::MAGIC] = MAGIC;
        writer.words[at::VERSION] = VERSION;
        writer.byte_class_map();
        writer.source_table();
        writer
    }

    fn byte_class_map(&mut self) {
        self.words[at::BYTECLASS] = number(self.words.len());
        let classes = &self.automaton.classes;
        let value = |byte: u8| match byte {
            0 => NUL_CLASS,
            byte => column(classes.class_of(byte), classes.class_of(b'/')),
        };
        for word in 0..64_u8 {
            let bytes = [0, 1, 2, 3].map(|byte| value(word * 4 + byte));
            self.words.push(u32::from_le_bytes(bytes));
        }
    }

    fn source_table(&mut self) {
        let mut numbers = HashMap::from_iter([(vec![], 0)]);
        let mut table = vec![];
        for marks in &self.automaton.path_classes {
            let is_source = |&mark: &u32| self.names.is_source[mark as usize];
            let sources: Vec<u32> = marks.iter().copied().filter(is_source).collect();
            let class = *numbers.entry(sources).or_insert_with_key(|sources| {
                self.source_classes.push(sources.clone());
                number(self.source_classes.len() - 1)
            });
            table.push(class);
        }
        for (class, sources) in self.source_classes.iter().enumerate() {
            for &source in sources {
                self.classes_of_source.entry(source).or_default().push(class);
            }
        }
        self.words[at::SOURCES] = self.append(&table);
        self.words[at::SOURCE_COUNT] = number(self.source_classes.len());
        self.words[at::PATH_COUNT] = number(table.len());
    }

    fn path_tables(&mut self) -> Result<(), CompileError> {
        let tables = [
            (Class::Process, Operation::Use, at::EXEC, has::PROCESS),
            (Class::File, Operation::Use, at::READ, has::FILE),
            (Class::File, Operation::Change, at::CHANGE, has::FILE),
            (Class::Dns, Operation::Use, at::DNS, has::DNS),
        ];
        for (class, operation, entry, flag) in tables {
            let rules_of = self.rules_by_mark(class);
            if rules_of.iter().all(Vec::is_empty) {
                continue;
            }
            let mut table = vec![];
            for marks in &self.automaton.path_classes {
                let rules = marks.iter().flat_map(|&mark| &rules_of[mark as usize]).copied();
                table.push(self.line(class, operation, rules.collect())?);
            }
            self.words[entry] = self.append(&table);
            self.words[at::FLAGS] |= flag;
        }
        let has_source = |rule: &Rule| rule.object.class() == Class::File && rule.source.is_some();
        if self.set.rules.iter().any(has_source) {
            self.words[at::FLAGS] |= has::FILE_SOURCES;
        }
        if !self.names.multicall.is_empty() {
            self.words[at::FLAGS] |= has::MULTICALL;
        }
        if !self.set.hard_linked.is_empty() {
            self.words[at::FLAGS] |= has::ALIASES;
        }
        Ok(())
    }

    fn rules_by_mark(&self, class: Class) -> Vec<Vec<RuleId>> {
        let mut rules = vec![vec![]; self.names.is_source.len()];
        for (id, _) in self.set.numbered().filter(|(_, rule)| rule.object.class() == class) {
            if let Some(mark) = self.names.object_of[id as usize] {
                rules[mark as usize].push(id);
            }
        }
        rules
    }

    fn socket_table(&mut self) -> Result<(), CompileError> {
        self.flat_table(
            Class::Network,
            SOCKET_CLASSES,
            at::SOCKET,
            has::NETWORK,
            |object, n| matches!(object, Object::Network(p) if socket::representative(n).is_of(*p)),
        )
    }

    fn capability_table(&mut self) -> Result<(), CompileError> {
        for rule in &self.set.rules {
            if let Object::Capability(number) = rule.object
                && usize::from(number) >= CAPABILITIES
            {
                let origin = rule.origin.to_string();
                return Err(CompileError::Capability { origin, number });
            }
        }
        self.flat_table(
            Class::Capabilities,
            CAPABILITIES,
            at::CAPABILITY,
            has::CAPABILITY,
            |object, n| matches!(object, Object::Capability(c) if usize::from(*c) == n),
        )
    }

    fn preset_table(&mut self) -> Result<(), CompileError> {
        self.flat_table(
            Class::Presets,
            PRESETS,
            at::PRESET,
            has::PRESET,
            |object, n| matches!(object, Object::Preset(p) if layout::preset(*p) as usize == n),
        )
    }

    /// A query whose name cannot be read may be for any name that is blocked.
    fn unreadable_query(&mut self) -> Result<(), CompileError> {
        let is_of_domain = |rule: &Rule| rule.object.class() == Class::Dns;
        if !self.set.rules.iter().any(is_of_domain) {
            return Ok(());
        }
        let blocks = |rule: &Rule| is_of_domain(rule) && rule.action == Action::Block;
        let blocked = self.set.numbered().filter(|(_, rule)| blocks(rule)).map(|(id, _)| id);
        let blocked = blocked.collect();
        self.words[at::DNS_UNREADABLE] = self.line(Class::Dns, Operation::Use, blocked)?;
        Ok(())
    }

    fn syscall_tables(&mut self) -> Result<(), CompileError> {
        let watched: Vec<(RuleId, &SyscallObject)> = (self.set.numbered())
            .filter_map(|(id, rule)| match &rule.object {
                Object::Syscall(watched) => Some((id, watched)),
                _ => None,
            })
            .collect();
        for (entry, on_paths) in [(at::SYSCALL, false), (at::SYSCALL_PATH, true)] {
            let watched: Vec<_> = (watched.iter())
                .filter(|(_, watched)| watched.path.is_some() == on_paths)
                .collect();
            if watched.is_empty() {
                continue;
            }
            let mut table = vec![];
            for name in syscall::names().map(Some).chain(std::iter::repeat(None)).take(SYSCALLS) {
                let concerned: Vec<RuleId> = (watched.iter())
                    .filter(|(_, watched)| name.is_some_and(|name| watched.calls.contains(name)))
                    .map(|&&(id, _)| id)
                    .collect();
                table.push(match name {
                    Some(name) if on_paths => self.paths_of_call(name, &concerned)?,
                    _ => self.line(Class::Syscalls, Operation::Use, concerned)?,
                });
            }
            self.words[entry] = self.append(&table);
            self.words[at::FLAGS] |= has::SYSCALL;
        }
        Ok(())
    }

    /// What becomes of one call by the class of the path that it is made on; 0 if no rule asks.
    fn paths_of_call(&mut self, name: &str, concerned: &[RuleId]) -> Result<u32, CompileError> {
        if concerned.is_empty() {
            return Ok(0);
        }
        let mut table = vec![];
        for marks in &self.automaton.path_classes {
            let is_object = |id: &RuleId| {
                self.names.object_of[*id as usize].is_some_and(|mark| marks.contains(&mark))
            };
            let here = concerned.iter().copied().filter(is_object).collect();
            table.push(self.line(Class::Syscalls, Operation::Use, here)?);
        }
        let opens = if OPENING_CALLS.contains(&name) { SYSCALL_OPENS } else { 0 };
        Ok(self.append(&table) | opens)
    }

    /// A table of lines for objects that are plain numbers.
    fn flat_table(
        &mut self,
        class: Class,
        length: usize,
        entry: usize,
        flag: u32,
        covers: impl Fn(&Object, usize) -> bool,
    ) -> Result<(), CompileError> {
        if self.set.rules.iter().all(|rule| rule.object.class() != class) {
            return Ok(());
        }
        let mut table = vec![];
        for object in 0..length {
            let concerned = self.set.numbered().filter(|(_, rule)| covers(&rule.object, object));
            let concerned = concerned.map(|(id, _)| id).collect();
            table.push(self.line(class, Operation::Use, concerned)?);
        }
        self.words[entry] = self.append(&table);
        self.words[at::FLAGS] |= flag;
        Ok(())
    }

    /// The line of one object: a plan for each source class.
    fn line(
        &mut self,
        class: Class,
        operation: Operation,
        mut concerned: Vec<RuleId>,
    ) -> Result<u32, CompileError> {
        concerned.sort_by_key(|&id| self.precedence[id as usize]);
        let source_of = &self.names.source_of;
        let mut special: Vec<usize> = concerned
            .iter()
            .filter_map(|&id| self.classes_of_source.get(&source_of[id as usize]?))
            .flatten()
            .copied()
            .collect();
        special.sort_unstable();
        special.dedup();
        let anybody = concerned.iter().copied().filter(|&id| source_of[id as usize].is_none());
        let anybody = self.plan(class, operation, anybody.collect())?;
        let mut line = vec![anybody; self.source_classes.len()];
        for source in special {
            let marks = &self.source_classes[source];
            let is_subject = |&id: &RuleId| {
                source_of[id as usize].is_none_or(|mark| marks.binary_search(&mark).is_ok())
            };
            let concerned = concerned.iter().copied().filter(is_subject).collect();
            line[source] = self.plan(class, operation, concerned)?;
        }
        if let Some(&offset) = self.line_offsets.get(&line) {
            return Ok(offset);
        }
        if self.words.len() + line.len() > IMAGE_WORDS {
            return Err(self.too_many_sources(line.len()));
        }
        let offset = self.append(&line);
        self.line_offsets.insert(line, offset);
        Ok(offset)
    }

    /// A line has a word for each kind of source, so objects and sources multiply.
    fn too_many_sources(&self, sources: usize) -> CompileError {
        let words = self.words.len() + sources;
        let last = self.set.rules.iter().rfind(|rule| rule.source.is_some());
        let origin = last.map(|rule| rule.origin.to_string()).unwrap_or_default();
        CompileError::TooLarge {
            limit: IMAGE_WORDS,
            what: "words of the image",
            culprit: format!("{sources} different fromSource, such as that of {origin}"),
            effort: Effort { words, ..self.automaton.effort },
        }
    }

    fn plan(
        &mut self,
        class: Class,
        operation: Operation,
        concerned: Vec<RuleId>,
    ) -> Result<u32, CompileError> {
        let key = (class, operation == Operation::Change, concerned);
        if let Some(&offset) = self.plan_of_rules.get(&key) {
            return Ok(offset);
        }
        let plan = self.planner.plan(class, &key.2, operation)?;
        let offset = match self.plan_offsets.get(&plan) {
            _ if plan.is_empty() => 0,
            Some(&offset) => offset,
            None => {
                let head = number(plan.verdicts.len()) | number(plan.audits.len()) << 16;
                let offset = self.append(&[head]);
                self.append(plan.verdicts.as_flattened());
                self.append(plan.audits.as_flattened());
                self.plan_offsets.insert(plan, offset);
                offset
            }
        };
        self.plan_of_rules.insert(key, offset);
        Ok(offset)
    }

    fn argument_sets(&mut self) -> Result<(), CompileError> {
        let sets = std::mem::take(&mut self.planner.arguments).sets;
        if sets.len() > MAX_ARGUMENT_SETS {
            let last = self.set.rules.iter().rfind(|rule| rule.allowed_args.is_some());
            let culprit = last.map(|rule| rule.origin.to_string()).unwrap_or_default();
            let (limit, what) = (MAX_ARGUMENT_SETS, "different allowedArgs");
            let effort = self.automaton.effort;
            return Err(CompileError::TooLarge { limit, what, culprit, effort });
        }
        if sets.is_empty() {
            return Ok(());
        }
        self.words[at::FLAGS] |= has::ARGUMENTS;
        self.words[at::ARG_SETS] = number(self.words.len());
        for set in sets {
            let mut bitmap = [0_u32; ARG_SET_WORDS];
            // The class of an argument is its number and one.
            for class in set.into_iter().map(|argument| argument + 1) {
                bitmap[(class / 32) as usize] |= 1 << (class % 32);
            }
            self.append(&bitmap);
        }
        Ok(())
    }

    fn rows(&mut self, minimal: &Minimal) {
        let classes = &self.automaton.classes;
        let futures = self.futures(minimal);
        self.words.resize(self.words.len().next_multiple_of(2), 0);
        let tables = Tables::of(minimal, classes);
        let shape = [classes.len(), classes.class_of(b'/')];
        let mut rows = Rows::new(minimal, &futures, tables, shape, self.words.len());
        self.words[at::START] = rows.of_paths(minimal.start);
        if self.words[at::FLAGS] & has::ARGUMENTS != 0 {
            self.words[at::ARG_START] = rows.of_texts(minimal.argument_start);
        }
        if let Some(start) = minimal.domain_start {
            self.words[at::DNS_START] = rows.of_texts(start);
        }
        let rules = rows.write(&mut self.words);
        if self.words[at::SIGNATURES] != 0 {
            self.words[at::FUTURES] = self.append(rules.as_flattened());
        }
    }

    /// The future of each row; none where nothing is denied.
    fn futures(&mut self, minimal: &Minimal) -> Futures {
        let signatures = signatures(&self.words);
        if signatures.iter().all(|signature| signature.any == RULE_NONE) {
            return Futures::none();
        }
        let futures = Futures::of(self.automaton, minimal, &signatures);
        let signatures: Vec<_> = signatures.iter().map(|s| [s.number, s.any]).collect();
        self.words[at::SIGNATURES] = self.append(signatures.as_flattened());
        futures
    }

    fn append(&mut self, words: &[u32]) -> u32 {
        let offset = number(self.words.len());
        self.words.extend_from_slice(words);
        offset
    }
}

/// The byte class of NUL, whose column leads every row to itself.
pub(crate) const NUL_CLASS: u8 = 1;

/// Offsets and counts stay far below 32 bits: see [`IMAGE_WORDS`].
pub(crate) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
