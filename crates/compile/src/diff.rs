//! What two rule sets decide differently, with an access to show it.
//!
//! Rules tell finitely many accesses apart: classes of paths (the automata's), of programs as subjects, of sockets,
//! capabilities, and the conditions of the rules that are concerned. One access of each is decided under both sets, so
//! no difference means that there is none.

use std::collections::{BTreeMap, BTreeSet};

use policy::{Capability, Preset};
use ruleset::{
    Access, Class, DecidedBy, Decision, FileOperation, Object, OwnedAccess, OwnedObject, Rule,
    RuleId, RuleSet, concerned, decide, decide_among, precedence,
};
use rustc_hash::FxHashSet as HashSet;

use crate::{CompileError, Detail, argument_choices, path_classes, socket_witnesses};

/// Accesses that the same rules decide differently in the same way, by one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The shortest; for programs that no rule names as a source, its subject is `None`.
    pub access: OwnedAccess,
    pub class: Class,
    pub old: Decision,
    pub new: Decision,
    /// How many classes of accesses differ in this way.
    pub classes: usize,
}

/// All differences between two rule sets of one workload. `alike` says whether two decisions are the same to whoever
/// asks; it is asked only about decisions on the same access.
pub fn diff(
    old: &RuleSet,
    new: &RuleSet,
    alike: impl Fn(&Decision, &Decision) -> bool,
) -> Result<Vec<Difference>, CompileError> {
    if old == new {
        return Ok(vec![]);
    }
    let classes = path_classes(&[old, new], Detail::Deciding)?;
    let mut subjects = vec![];
    let mut known = HashSet::default();
    for class in &classes {
        if known.insert(&class.sources) {
            let named = class.sources.iter().any(|rules| !rules.is_empty());
            let path = named.then(|| class.witness.clone());
            subjects.push(Subject { path, rules: [&class.sources[0], &class.sources[1]] });
        }
    }
    // Programs without a name have no source, also where rules name every path.
    let nobody = vec![];
    if subjects.iter().all(|subject| subject.path.is_some()) {
        subjects.push(Subject { path: None, rules: [&nobody, &nobody] });
    }
    let mut comparison = Comparison {
        sets: [old, new],
        ranks: [ranks(old), ranks(new)],
        subjects,
        alike,
        judged: HashSet::default(),
        found: BTreeMap::new(),
    };
    for class in &classes {
        comparison.programs(Some(&class.witness), [&class.objects[0], &class.objects[1]])?;
        if !class.applet {
            comparison.calls_on(&class.witness, [&class.objects[0], &class.objects[1]]);
            comparison.files(&class.witness, [&class.objects[0], &class.objects[1]]);
        }
    }
    comparison.programs(None, [&vec![], &vec![]])?;
    comparison.others();
    Ok(comparison.found.into_values().collect())
}

struct Subject<'c> {
    /// `None` for all that no rule names.
    path: Option<Vec<u8>>,
    /// Of each set, the rules that have it among their sources.
    rules: [&'c Vec<RuleId>; 2],
}

/// Who decides and who alerts, before and after; whether they permit stands in the decisions.
type Parties = (Class, bool, bool, [Option<(bool, RuleId)>; 4]);

struct Comparison<'s, A> {
    sets: [&'s RuleSet; 2],
    /// The place of each rule in the order of precedence.
    ranks: [Vec<usize>; 2],
    subjects: Vec<Subject<'s>>,
    alike: A,
    /// The rules concerned and the kind of access that were compared already.
    judged: HashSet<(u8, Vec<RuleId>, Vec<RuleId>)>,
    found: BTreeMap<Parties, Difference>,
}

const EXECUTE: u8 = 0;
const FILE: u8 = 1;
const CALL: u8 = 2;

impl<A: Fn(&Decision, &Decision) -> bool> Comparison<'_, A> {
    fn programs(
        &mut self,
        path: Option<&Vec<u8>>,
        objects: [&Vec<RuleId>; 2],
    ) -> Result<(), CompileError> {
        for subject in 0..self.subjects.len() {
            let concerned =
                self.concerned(objects, subject, |object| matches!(object, Object::Process(_)));
            if !self.is_first(EXECUTE, &concerned) {
                continue;
            }
            let subject = self.subjects[subject].path.clone();
            for args in argument_choices(self.rules(&concerned))? {
                let path = path.cloned();
                let args = args.into_iter().map(String::into_bytes).collect();
                let object = OwnedObject::Execute { path, args };
                self.under_conditions(subject.as_ref(), &object, &concerned);
            }
        }
        Ok(())
    }

    fn files(&mut self, path: &[u8], objects: [&Vec<RuleId>; 2]) {
        for subject in 0..self.subjects.len() {
            let concerned =
                self.concerned(objects, subject, |object| matches!(object, Object::File(_)));
            if !self.is_first(FILE, &concerned) {
                continue;
            }
            let subject = self.subjects[subject].path.clone();
            for operation in [FileOperation::Read, FileOperation::Change, FileOperation::Metadata] {
                let object = OwnedObject::File { path: path.to_vec(), operation };
                self.under_conditions(subject.as_ref(), &object, &concerned);
            }
        }
    }

    /// System calls that rules name, made on a path.
    fn calls_on(&mut self, path: &[u8], objects: [&Vec<RuleId>; 2]) {
        for name in self.calls() {
            for subject in 0..self.subjects.len() {
                let lists = self.concerned(objects, subject, |object| {
                    matches!(object, Object::Syscall(watched)
                        if watched.path.is_some() && watched.calls.contains(&name))
                });
                if !self.is_first(CALL, &lists) {
                    continue;
                }
                let subject = self.subjects[subject].path.clone();
                let object = OwnedObject::Syscall { name: name.clone(), path: Some(path.to_vec()) };
                self.under_conditions(subject.as_ref(), &object, &lists);
            }
        }
    }

    fn calls(&self) -> BTreeSet<String> {
        let rules = self.sets.iter().flat_map(|set| &set.rules);
        let calls = rules.filter_map(|rule| match &rule.object {
            Object::Syscall(watched) => Some(&watched.calls),
            _ => None,
        });
        calls.flatten().cloned().collect()
    }

    /// A name of each domain that rules name, one outside of all, and one that cannot be read. A name is covered by the
    /// domains that it ends in, and each such set of domains is that of its deepest one.
    fn queries(&self) -> Vec<OwnedObject> {
        let rules = self.sets.iter().flat_map(|set| &set.rules);
        let mut names: BTreeSet<String> = rules
            .filter_map(|rule| match &rule.object {
                Object::Dns(domain) => Some(domain.clone()),
                _ => None,
            })
            .collect();
        let mut outside = "other".to_owned();
        while names.contains(&outside) {
            outside.push('-');
        }
        names.insert(outside);
        let read = names.into_iter().map(|name| Some(name.into_bytes()));
        // Names that no rule can name are like those outside of all.
        read.chain([None]).map(OwnedObject::Dns).collect()
    }

    /// What is no path: few enough to ask the law without preparation.
    fn others(&mut self) {
        let sockets = socket_witnesses().map(OwnedObject::Socket);
        let capabilities =
            Capability::all().map(|capability| OwnedObject::Capability(capability.0));
        let presets = Preset::ALL.map(OwnedObject::Preset);
        let calls = self.calls().into_iter();
        let calls = calls.map(|name| OwnedObject::Syscall { name, path: None });
        let objects: Vec<_> = (sockets.chain(capabilities).chain(presets))
            .chain(calls)
            .chain(self.queries())
            .collect();
        for subject in 0..self.subjects.len() {
            let path = self.subjects[subject].path.clone();
            for object in &objects {
                let access = OwnedAccess {
                    subject: path.clone(),
                    object: object.clone(),
                    terminal: false,
                    owner: false,
                };
                let lists = access.with(|access| self.sets.map(|set| concerned(set, access)));
                self.under_conditions(path.as_ref(), object, &lists);
            }
        }
    }

    /// Of each set, the rules of some class with this object and source, in the order of precedence.
    fn concerned(
        &self,
        objects: [&Vec<RuleId>; 2],
        subject: usize,
        of_class: impl Fn(&Object) -> bool,
    ) -> [Vec<RuleId>; 2] {
        let sources = self.subjects[subject].rules;
        [0, 1].map(|side| {
            let rule = |id: RuleId| &self.sets[side].rules[id as usize];
            let from = |id: RuleId| {
                let anybody = match &rule(id).object {
                    Object::Syscall(watched) => watched.sources.is_none(),
                    _ => rule(id).source.is_none(),
                };
                anybody || sources[side].binary_search(&id).is_ok()
            };
            let of_object = objects[side].iter().copied();
            let mut rules: Vec<RuleId> =
                of_object.filter(|&id| of_class(&rule(id).object) && from(id)).collect();
            rules.sort_by_key(|&id| self.ranks[side][id as usize]);
            rules
        })
    }

    /// Accesses that concern the same rules are decided alike.
    fn is_first(&mut self, kind: u8, [old, new]: &[Vec<RuleId>; 2]) -> bool {
        self.judged.insert((kind, old.clone(), new.clone()))
    }

    fn under_conditions(
        &mut self,
        subject: Option<&Vec<u8>>,
        object: &OwnedObject,
        lists: &[Vec<RuleId>; 2],
    ) {
        let either = |matters: bool| if matters { &[false, true][..] } else { &[false][..] };
        let owners = either(self.rules(lists).any(|rule| rule.owner_only));
        let terminals = either(self.rules(lists).any(|rule| rule.terminal_only));
        for &owner in owners {
            for &terminal in terminals {
                let access = OwnedAccess {
                    subject: subject.cloned(),
                    object: object.clone(),
                    terminal,
                    owner,
                };
                let decide = |side: usize, access: &Access<'_>| {
                    decide_among(self.sets[side], &lists[side], access)
                };
                let (old, new) = access.with(|access| (decide(0, access), decide(1, access)));
                if !(self.alike)(&old, &new) {
                    self.differ(access, old, new);
                }
            }
        }
    }

    fn differ(&mut self, access: OwnedAccess, old: Decision, new: Decision) {
        let Some(class) = access.with(|access| access.object.class()) else { return };
        debug_assert_eq!(access.with(|access| decide(self.sets[0], access)), old);
        debug_assert_eq!(access.with(|access| decide(self.sets[1], access)), new);
        let party = |by: Option<DecidedBy>| match by? {
            DecidedBy::Rule(id) => Some((true, id)),
            DecidedBy::Posture(_) => Some((false, 0)),
        };
        let parties = [old.by, old.alert, new.by, new.alert].map(party);
        let key = (class, old.permitted, new.permitted, parties);
        let one = Difference { access, class, old, new, classes: 0 };
        self.found.entry(key).or_insert(one).classes += 1;
    }

    fn rules<'r>(&'r self, lists: &'r [Vec<RuleId>; 2]) -> impl Iterator<Item = &'r Rule> {
        let of =
            |side: usize| lists[side].iter().map(move |&id| &self.sets[side].rules[id as usize]);
        of(0).chain(of(1))
    }
}

fn ranks(set: &RuleSet) -> Vec<usize> {
    let mut ordered: Vec<_> = set.numbered().collect();
    ordered.sort_by_key(|&(id, rule)| precedence(id, rule));
    let mut ranks = vec![0; set.rules.len()];
    for (rank, (id, _)) in ordered.into_iter().enumerate() {
        ranks[id as usize] = rank;
    }
    ranks
}
