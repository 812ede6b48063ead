//! Rules that never decide any access, since rules of their own policy, or of policies that are always there with it,
//! decide before them.

use std::collections::BTreeSet;

use compile::{CompileError, Detail, PathClass, compile, path_classes};
use policy::{Action, PolicyId};
use ruleset::{Class, DecidedBy, Object, Reach, Rule, RuleId, RuleSet, precedence, reach};

use crate::{
    Level,
    accesses::{Case, class_of, every, paths_of},
    collection::{Collection, Entry},
    finding::Findings,
    meeting::may_meet,
    sample::sample,
    words,
};

/// So many of the rules that cover another are named.
const NAMED: usize = 3;

/// Reports the rules that never decide, and returns them.
pub(crate) fn check(collection: &Collection, findings: &mut Findings) -> BTreeSet<Rule> {
    let entries = collection.entries();
    let mut shadowed = BTreeSet::new();
    for entry in entries {
        let company = Company::of(entry, entries);
        company.check(&mut shadowed, findings);
    }
    shadowed
}

/// A policy and what is on every workload that it selects.
struct Company<'c> {
    entry: &'c Entry,
    others: Vec<&'c Entry>,
    set: RuleSet,
}

impl<'c> Company<'c> {
    fn of(entry: &'c Entry, entries: &'c [Entry]) -> Self {
        let together = |other: &&Entry| {
            !std::ptr::eq(*other, entry) && reach(&entry.policy, &other.policy) == Reach::Always
        };
        let others: Vec<&Entry> = entries.iter().filter(together).collect();
        let theirs = others.iter().flat_map(|other| &other.rules);
        // No others can keep a rule of this policy from deciding.
        let theirs = theirs.filter(|theirs| entry.rules.iter().any(|own| may_meet(own, theirs)));
        let rules: BTreeSet<&Rule> = entry.rules.iter().chain(theirs).collect();
        let rules = rules.into_iter().cloned().collect();
        Self { entry, others, set: RuleSet { rules, ..RuleSet::default() } }
    }

    fn check(&self, shadowed: &mut BTreeSet<Rule>, findings: &mut Findings) {
        let entry = self.entry;
        if let Err(error) = self.fits() {
            does_not_fit(entry, &error, findings);
            return;
        }
        let (dead, left_out) = self.dead();
        match left_out {
            None => {}
            Some(
                error @ (CompileError::TooManyStates { .. }
                | CompileError::TooManyArgumentChoices { .. }),
            ) => not_analysed(entry, &error, findings),
            // With the policies that are always beside it.
            Some(error) => does_not_fit(entry, &error, findings),
        }
        for id in dead {
            let rule = &self.set.rules[id as usize];
            if !can_match(rule) {
                never_matches(entry, rule, findings);
                continue;
            }
            self.report(id, findings);
            shadowed.insert(rule.clone());
        }
    }

    /// The policy's rules that are sure to decide nothing, and why others were not looked at.
    fn dead(&self) -> (Vec<RuleId>, Option<CompileError>) {
        let (mut dead, mut left_out) = (vec![], None);
        let own = self.set.numbered().filter(|(_, rule)| is_of(rule, &self.entry.policy.id));
        // Rules on system calls only ever audit, they are not compared.
        for (id, rule) in own.filter(|(_, rule)| rule.object.class() != Class::Syscalls) {
            match self.is_dead(id, rule) {
                Ok(true) => dead.push(id),
                Ok(false) => {}
                Err(error @ CompileError::TooManyArgumentChoices { .. }) => {
                    left_out = left_out.or(Some(error));
                }
                // What takes long for one rule takes long for the next.
                Err(error) => return (dead, Some(error)),
            }
        }
        (dead, left_out)
    }

    fn is_dead(&self, id: RuleId, rule: &Rule) -> Result<bool, CompileError> {
        let near = self.near(id);
        let likely = likely(rule).map(|path| class_of(path, &near));
        if likely.is_some_and(|class| decides(rule, &near, &[class]).unwrap_or(false)) {
            return Ok(false);
        }
        let decides = decides(rule, &near, &paths_of(rule, &near, Detail::Deciding)?)?;
        Ok(!decides)
    }

    /// A rule and those that can keep it from deciding.
    fn near(&self, id: RuleId) -> RuleSet {
        let rule = &self.set.rules[id as usize];
        let last = precedence(id, rule);
        let hides = |other_id: RuleId, other: &Rule| {
            let before = precedence(other_id, other) < last;
            (before || other.action != rule.action || other.tier != rule.tier)
                && may_meet(rule, other)
        };
        let near = self
            .set
            .numbered()
            .filter(|&(other_id, other)| other_id == id || hides(other_id, other));
        let rules = near.map(|(_, rule)| rule.clone()).collect();
        RuleSet { rules, ..RuleSet::default() }
    }

    /// Whether the policy has an image by itself.
    fn fits(&self) -> Result<(), CompileError> {
        let rules: BTreeSet<&Rule> = self.entry.rules.iter().collect();
        let rules = rules.into_iter().cloned().collect();
        compile(&RuleSet { rules, ..RuleSet::default() }).map(|_| ())
    }

    /// The policy that a rule is of.
    fn owner(&self, rule: &Rule) -> Option<&'c Entry> {
        let mut entries = self.others.iter().copied().chain([self.entry]);
        entries.find(|entry| is_of(rule, &entry.policy.id))
    }

    fn report(&self, id: RuleId, findings: &mut Findings) {
        let entry = self.entry;
        let rule = &self.set.rules[id as usize];
        let cover = self.cover(id);
        let named = cover
            .rules
            .iter()
            .filter_map(|rule| Some(words::reference(self.owner(rule)?, rule, entry)));
        let mut named: Vec<String> = named.collect();
        let more = named.len().saturating_sub(NAMED);
        named.truncate(NAMED);
        let mut by = named.join("; ");
        if more > 0 {
            by = format!("{by}; and {more} more");
        }
        let message = match cover.rules.len() {
            0 => format!("{} never decides: other rules decide before it", words::rule(rule)),
            count => format!(
                "{} never decides: {by} {} before it, for example {}",
                words::rule(rule),
                if count == 1 { "decides" } else { "decide" },
                cover.witness,
            ),
        };
        let same_action = cover.rules.iter().all(|other| other.action == rule.action);
        let elsewhere = cover.rules.iter().all(|other| !is_of(other, &entry.policy.id));
        let level = if same_action && elsewhere { Level::Note } else { Level::Warning };
        let hint = match rule.action {
            _ if same_action => "delete it",
            Action::Audit => "delete it: what is refused alerts as the rule says that refuses it",
            Action::Allow | Action::Block => PRECEDENCE,
        };
        findings.add(level, "shadowed", entry.place_of(rule), message, hint);
    }

    /// Which rules decide what the rule is about.
    fn cover(&self, id: RuleId) -> Cover {
        let rule = &self.set.rules[id as usize];
        let set = self.near(id);
        let mut cover = Cover { rules: BTreeSet::new(), witness: String::new() };
        // What cannot be told in full is told as far as it is known.
        if let Ok(classes) = paths_of(rule, &set, Detail::All) {
            let _ = every(&set, &classes, &mut |case| cover.look(&set, rule, case));
        }
        cover
    }
}

const PRECEDENCE: &str = "the most specific rule decides, `Block` before `Allow` where they are equal: make it more specific, or delete it";

fn likely(rule: &Rule) -> Option<Vec<u8>> {
    match &rule.object {
        Object::Process(paths) | Object::File(paths) => sample(&paths.named),
        _ => None,
    }
}

/// Whether the rule has the last word, or raises the alert, in any case on these paths or on other objects.
fn decides(rule: &Rule, set: &RuleSet, classes: &[PathClass]) -> Result<bool, CompileError> {
    let mut decides = false;
    let complete = every(set, classes, &mut |case| {
        let by = [case.decision.by, case.decision.alert].into_iter().flatten();
        let rules = by.filter_map(|by| match by {
            DecidedBy::Rule(id) => Some(&set.rules[id as usize]),
            DecidedBy::Posture(_) => None,
        });
        decides |= rules.into_iter().any(|decider| decider == rule);
    });
    if decides { Ok(true) } else { complete.map(|()| false) }
}

struct Cover {
    rules: BTreeSet<Rule>,
    witness: String,
}

impl Cover {
    fn look(&mut self, set: &RuleSet, rule: &Rule, case: &Case<'_>) {
        let concerns = case.concerned.iter().any(|&id| set.rules[id as usize] == *rule);
        let has_say = rule.verdict(&case.access).is_some() || rule.audits(&case.access);
        let Some(decider) = decider(case, rule.action).filter(|_| concerns && has_say) else {
            return;
        };
        let decider = &set.rules[decider as usize];
        if self.witness.is_empty() {
            self.witness = words::access(&case.access, [rule, decider]);
        }
        if self.rules.len() <= 2 * NAMED {
            self.rules.insert(decider.clone());
        }
    }
}

/// The rule that has the last word on a case, as far as rules of this action are concerned.
fn decider(case: &Case<'_>, action: Action) -> Option<RuleId> {
    let by = match action {
        Action::Audit => case.decision.alert.or(case.decision.by),
        Action::Allow | Action::Block => case.decision.by,
    };
    match by {
        Some(DecidedBy::Rule(id)) => Some(id),
        _ => None,
    }
}

/// Whether any path there can be is one that the rule names.
fn can_match(rule: &Rule) -> bool {
    if !matches!(rule.object, Object::Process(_) | Object::File(_)) {
        return true;
    }
    let set = RuleSet { rules: vec![rule.clone()], ..RuleSet::default() };
    let named = |of: &[Vec<RuleId>]| !of[0].is_empty();
    path_classes(&[&set], Detail::All).is_ok_and(|classes| {
        classes.iter().any(|class| named(&class.objects))
            && (rule.source.is_none() || classes.iter().any(|class| named(&class.sources)))
    })
}

fn does_not_fit(entry: &Entry, error: &CompileError, findings: &mut Findings) {
    let place = (entry.file.as_str(), entry.located.at, "spec");
    let message = format!("cannot be put in force: {error}");
    let hint = "split the policy, or name directories instead of their entries";
    findings.add(Level::Error, "does-not-fit", place, message, hint);
}

fn not_analysed(entry: &Entry, error: &CompileError, findings: &mut Findings) {
    let place = (entry.file.as_str(), entry.located.at, "spec");
    let message = format!("was not looked at in full for rules that never decide: {error}");
    let hint = "the policy can be applied; its rules were not all compared with each other";
    findings.add(Level::Warning, "not-analysed", place, message, hint);
}

fn never_matches(entry: &Entry, rule: &Rule, findings: &mut Findings) {
    let place = entry.place_of(rule);
    if findings.has("never-matches", place.0, place.2) {
        return;
    }
    let message = format!("{} can never match: no path is spelt like this", words::rule(rule));
    let hint = "paths are absolute, have no `//`, `/./` or `/../`, and do not end in `/`";
    findings.add(Level::Error, "never-matches", place, message, hint);
}

fn is_of(rule: &Rule, id: &PolicyId) -> bool {
    let origin = &rule.origin;
    origin.kind == id.kind && origin.namespace == id.namespace && origin.policy == id.name
}
