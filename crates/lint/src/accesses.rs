//! One access of each kind that a rule set tells apart, with what the law says of it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use compile::{CompileError, Detail, PathClass, argument_choices, path_classes, socket_witnesses};
use policy::{Action, PathObject, Preset};
use ruleset::{
    Access, AccessObject, Class, Decision, FileOperation, Object, Precedence, Rule, RuleId,
    RuleSet, decide_among, matches, precedence,
};

/// An access, the rules that concern it in their order, and what becomes of it.
pub(crate) struct Case<'c> {
    pub(crate) concerned: &'c [RuleId],
    pub(crate) access: Access<'c>,
    pub(crate) decision: Decision,
}

/// The classes of the paths that the rule is about, as the set tells them apart.
pub(crate) fn paths_of(
    rule: &Rule,
    set: &RuleSet,
    detail: Detail,
) -> Result<Vec<PathClass>, CompileError> {
    let (Object::Process(paths) | Object::File(paths)) = &rule.object else {
        return Ok(vec![]);
    };
    let PathObject::Path(path) = &paths.named else { return path_classes(&[set], detail) };
    // One path needs no automaton.
    Ok(vec![class_of(path.clone().into_bytes(), set)])
}

/// The class of one path, as far as the set's objects tell it from others.
pub(crate) fn class_of(witness: Vec<u8>, set: &RuleSet) -> PathClass {
    let covers = |other: &Rule| match &other.object {
        Object::Process(paths) | Object::File(paths) => matches(&paths.named, &witness),
        _ => false,
    };
    let covering = set.numbered().filter(|(_, other)| covers(other)).map(|(id, _)| id).collect();
    PathClass { applet: false, objects: vec![covering], sources: vec![], witness }
}

/// Shows every case on these paths, and on all other objects, in which at least one rule is concerned. An error says
/// that some were left out.
pub(crate) fn every(
    set: &RuleSet,
    classes: &[PathClass],
    look: &mut dyn FnMut(&Case<'_>),
) -> Result<(), CompileError> {
    let order: Vec<Precedence> = set.numbered().map(|(id, rule)| precedence(id, rule)).collect();
    let subjects = subjects(set);
    let mut walk = Walk { set, order, subjects, seen: HashSet::new(), look, left_out: None };
    for class in classes {
        walk.path(class);
    }
    walk.sockets();
    walk.capabilities();
    walk.domains();
    walk.presets();
    walk.left_out.map_or(Ok(()), Err)
}

/// One program for each set of rules that have it as a source; without a name where none has.
fn subjects(set: &RuleSet) -> Vec<(Vec<RuleId>, Option<&[u8]>)> {
    let mut rules_of: BTreeMap<&str, Vec<RuleId>> = BTreeMap::new();
    for (id, rule) in set.numbered() {
        for source in rule.source.iter().flatten() {
            rules_of.entry(source).or_default().push(id);
        }
    }
    let mut subjects: BTreeMap<Vec<RuleId>, Option<&[u8]>> = BTreeMap::from([(vec![], None)]);
    for (source, rules) in rules_of {
        subjects.entry(rules).or_insert(Some(source.as_bytes()));
    }
    subjects.into_iter().collect()
}

struct Walk<'s> {
    set: &'s RuleSet,
    order: Vec<Precedence>,
    subjects: Vec<(Vec<RuleId>, Option<&'s [u8]>)>,
    /// What has been shown: a further object with the same rules shows nothing new.
    seen: HashSet<(Class, Vec<RuleId>)>,
    look: &'s mut dyn FnMut(&Case<'_>),
    /// Why some cases were not shown.
    left_out: Option<CompileError>,
}

impl Walk<'_> {
    fn path(&mut self, class: &PathClass) {
        let of = |wanted: Class| -> Vec<RuleId> {
            let objects = class.objects[0].iter().copied();
            objects.filter(|&id| self.set.rules[id as usize].object.class() == wanted).collect()
        };
        let (programs, files) = (of(Class::Process), of(Class::File));
        self.objects(Class::Process, &programs, |walk, rules, subject| {
            let lists = argument_choices(rules.iter().map(|&id| &walk.set.rules[id as usize]));
            let lists = lists.unwrap_or_else(|error| {
                walk.left_out = Some(error);
                vec![]
            });
            for args in lists {
                let args: Vec<&[u8]> = args.iter().map(String::as_bytes).collect();
                let path = Some(class.witness.as_slice());
                walk.conditions(rules, subject, &AccessObject::Execute { path, args: &args });
            }
        });
        if class.applet {
            return;
        }
        self.objects(Class::File, &files, |walk, rules, subject| {
            for operation in [FileOperation::Read, FileOperation::Change] {
                let object = AccessObject::File { path: &class.witness, operation };
                walk.conditions(rules, subject, &object);
            }
        });
    }

    fn sockets(&mut self) {
        for socket in socket_witnesses() {
            let rules =
                self.rules(|object| matches!(object, Object::Network(p) if socket.is_of(*p)));
            self.objects(Class::Network, &rules, |walk, rules, subject| {
                walk.conditions(rules, subject, &AccessObject::Socket(socket));
            });
        }
    }

    fn capabilities(&mut self) {
        let named = self.set.rules.iter().filter_map(|rule| match rule.object {
            Object::Capability(number) => Some(number),
            _ => None,
        });
        for number in named.collect::<BTreeSet<_>>() {
            let rules = self.rules(|object| *object == Object::Capability(number));
            self.objects(Class::Capabilities, &rules, |walk, rules, subject| {
                walk.conditions(rules, subject, &AccessObject::Capability(number));
            });
        }
    }

    fn presets(&mut self) {
        for preset in Preset::ALL {
            let rules = self.rules(|object| *object == Object::Preset(preset));
            self.objects(Class::Presets, &rules, |walk, rules, subject| {
                walk.conditions(rules, subject, &AccessObject::Preset(preset));
            });
        }
    }

    /// What holds for a name holds for those below it that no rule names. A query that cannot be read is one more case.
    fn domains(&mut self) {
        let named = self.set.rules.iter().filter_map(|rule| match &rule.object {
            Object::Dns(domain) => Some(domain.as_str()),
            _ => None,
        });
        let domains: BTreeSet<&str> = named.collect();
        for asked in domains.into_iter().map(Some).chain([None]) {
            let covers = |rule: &Rule| match (&rule.object, asked) {
                (Object::Dns(domain), Some(name)) => is_below(name, domain),
                (Object::Dns(_), None) => rule.action == Action::Block,
                _ => false,
            };
            let rules = self.set.numbered().filter(|(_, rule)| covers(rule)).map(|(id, _)| id);
            let rules: Vec<RuleId> = rules.collect();
            self.objects(Class::Dns, &rules, |walk, rules, subject| {
                walk.conditions(rules, subject, &AccessObject::Dns(asked.map(str::as_bytes)));
            });
        }
    }

    fn rules(&self, covers: impl Fn(&Object) -> bool) -> Vec<RuleId> {
        let numbered = self.set.numbered();
        numbered.filter(|(_, rule)| covers(&rule.object)).map(|(id, _)| id).collect()
    }

    /// Calls `show` once for each set of rules that remains when the subject is known.
    fn objects(
        &mut self,
        class: Class,
        rules: &[RuleId],
        mut show: impl FnMut(&mut Self, &[RuleId], Option<&[u8]>),
    ) {
        for (sources, subject) in self.subjects.clone() {
            let mut concerned: Vec<RuleId> = rules
                .iter()
                .copied()
                .filter(|id| self.set.rules[*id as usize].source.is_none() || sources.contains(id))
                .collect();
            concerned.sort_by_key(|&id| self.order[id as usize]);
            if !concerned.is_empty() && self.seen.insert((class, concerned.clone())) {
                show(self, &concerned, subject);
            }
        }
    }

    fn conditions(
        &mut self,
        concerned: &[RuleId],
        subject: Option<&[u8]>,
        object: &AccessObject<'_>,
    ) {
        let rules = || concerned.iter().map(|&id| &self.set.rules[id as usize]);
        // The default of a condition that no rule has is the first.
        let owners: &[bool] =
            if rules().any(|rule| rule.owner_only) { &[false, true] } else { &[false] };
        let terminals: &[bool] =
            if rules().any(|rule| rule.terminal_only) { &[true, false] } else { &[true] };
        for &owner in owners {
            for &terminal in terminals {
                let access = Access { subject, object: object.clone(), terminal, owner };
                let decision = decide_among(self.set, concerned, &access);
                (self.look)(&Case { concerned, access, decision });
            }
        }
    }
}

/// Whether a rule for `domain` covers the name.
pub(crate) fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
