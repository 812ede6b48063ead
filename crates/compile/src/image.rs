//! The words of an image, in the order in which they are found: header, byte class map, tables, plans, rows.

use rustc_hash::FxHashMap as HashMap;

use ruleset::{Class, Object, Precedence, RuleId, RuleSet, precedence};

use crate::{
    CompileError,
    layout::{ARG_SET_WORDS, CAPABILITIES, HEADER_WORDS, MAGIC, SOCKET_CLASSES, VERSION, at, has},
    minimize::{Minimal, minimize},
    names::Names,
    plan::{Operation, Plan, Planner},
    settled::Settled,
    socket,
    subset::Automaton,
};

/// Upper limit of an image: 28 MiB. Two fit into the arena: an update needs both for a moment.
pub(crate) const MAX_WORDS: usize = 7 << 20;

/// Argument sets that a step can name.
const MAX_ARGUMENT_SETS: usize = 1 << 16;

/// The compiled form of one rule set, as the kernel reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub words: Vec<u32>,
    /// Rules that the image has no place for: those on DNS names.
    pub not_expressed: Vec<RuleId>,
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
    writer.argument_sets()?;
    writer.rows(&minimal);
    let mut words = writer.words;
    if words.len() > MAX_WORDS {
        return Err(CompileError::TooLarge { limit: MAX_WORDS, culprit: automaton.culprit });
    }
    words[at::WORDS] = number(words.len());
    let not_expressed = set
        .numbered()
        .filter(|(_, rule)| rule.object.class() == Class::Dns)
        .map(|(id, _)| id)
        .collect();
    Ok(Image { words, not_expressed })
}

struct Writer<'s> {
    words: Vec<u32>,
    set: &'s RuleSet,
    names: &'s Names,
    automaton: &'s Automaton,
    planner: Planner<'s>,
    precedence: Vec<Precedence>,
    /// The source marks of each source class; those of class 0 are none.
    source_classes: Vec<Vec<u32>>,
    plan_of_rules: HashMap<(Class, bool, Vec<RuleId>), u32>,
    plan_offsets: HashMap<Plan, u32>,
    line_offsets: HashMap<Vec<u32>, u32>,
}

impl<'s> Writer<'s> {
    fn new(set: &'s RuleSet, names: &'s Names, automaton: &'s Automaton) -> Self {
        let mut writer = Self {
            words: vec![0; HEADER_WORDS],
            set,
            names,
            automaton,
            planner: Planner::new(set, names),
            precedence: set.numbered().map(|(id, rule)| precedence(id, rule)).collect(),
            source_classes: vec![vec![]],
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
        let value = |byte: u8| match byte {
            0 => NUL_CLASS,
            byte => column(self.automaton.classes.class_of(byte)),
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
        self.words[at::SOURCES] = self.append(&table);
        self.words[at::SOURCE_COUNT] = number(self.source_classes.len());
        self.words[at::PATH_COUNT] = number(table.len());
    }

    fn path_tables(&mut self) -> Result<(), CompileError> {
        let tables = [
            (Class::Process, Operation::Use, at::EXEC, has::PROCESS),
            (Class::File, Operation::Use, at::READ, has::FILE),
            (Class::File, Operation::Change, at::CHANGE, has::FILE),
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
        if !self.names.multicall.is_empty() {
            self.words[at::FLAGS] |= has::MULTICALL;
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
        let line = if concerned.iter().all(|&id| source_of[id as usize].is_none()) {
            vec![self.plan(class, operation, concerned)?; self.source_classes.len()]
        } else {
            let mut line = vec![];
            for source in 0..self.source_classes.len() {
                let marks = &self.source_classes[source];
                let is_subject = |&id: &RuleId| {
                    source_of[id as usize].is_none_or(|mark| marks.binary_search(&mark).is_ok())
                };
                let concerned = concerned.iter().copied().filter(is_subject).collect();
                line.push(self.plan(class, operation, concerned)?);
            }
            line
        };
        if let Some(&offset) = self.line_offsets.get(&line) {
            return Ok(offset);
        }
        let offset = self.append(&line);
        self.line_offsets.insert(line, offset);
        Ok(offset)
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
            let culprit = "the number of different allowedArgs".to_owned();
            return Err(CompileError::TooLarge { limit: MAX_WORDS, culprit });
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
        let columns = self.automaton.classes.len();
        let base = self.words.len();
        let width = 2 + columns;
        let offset = |row: u32| number(base + row as usize * width);
        self.words.reserve(minimal.outputs.len() * width);
        let rows = minimal.outputs.iter().zip(minimal.successors.chunks_exact(columns));
        for (row, (&output, successors)) in (0..).zip(rows) {
            self.words.push(output);
            self.words.push(offset(row));
            self.words.extend(successors.iter().map(|&next| offset(next)));
        }
        self.words[at::START] = offset(minimal.start);
        if self.words[at::FLAGS] & has::ARGUMENTS != 0 {
            self.words[at::ARG_START] = offset(minimal.argument_start);
        }
    }

    fn append(&mut self, words: &[u32]) -> u32 {
        let offset = number(self.words.len());
        self.words.extend_from_slice(words);
        offset
    }
}

/// The byte class of NUL, whose column leads every row to itself.
const NUL_CLASS: u8 = 1;

/// Where a row has the successor for a byte class.
fn column(class: usize) -> u8 {
    // UTF-8 never uses thirteen of the byte values, so the classes always leave room.
    u8::try_from(class + 2).unwrap_or(u8::MAX)
}

/// Offsets and counts stay far below 32 bits: see [`MAX_WORDS`].
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
