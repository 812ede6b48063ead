//! The order in which rules that concern one object have their say, as steps that the kernel walks.
//!
//! Tiers are flattened: where a cluster rule permits under a condition, the steps of the namespaced tier are repeated
//! under that condition before it, so that the first step that holds decides.

use std::collections::BTreeSet;

use policy::{Action, PathObject};
use ruleset::{Class, Object, PathSet, Posture, Rule, RuleId, RuleSet, Tier};
use rustc_hash::FxHashMap as HashMap;

use crate::{
    CompileError,
    layout::{PLAN_MAX_STEPS, RULE_NONE, RULE_POSTURE, step},
    names::Names,
};

/// What is done to an object; modifiers ask for no more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Use,
    Change,
}

/// Conditions and outcome, and the rule: the two words of a step.
pub(crate) type StepWords = [u32; 2];

#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Plan {
    pub(crate) verdicts: Vec<StepWords>,
    pub(crate) audits: Vec<StepWords>,
}

impl Plan {
    pub(crate) fn is_empty(&self) -> bool {
        self.verdicts.is_empty() && self.audits.is_empty()
    }
}

/// The sets of arguments that steps refer to, by number.
#[derive(Default)]
pub(crate) struct ArgumentSets {
    pub(crate) sets: Vec<BTreeSet<u32>>,
    numbers: HashMap<BTreeSet<u32>, u32>,
}

impl ArgumentSets {
    fn number(&mut self, set: BTreeSet<u32>) -> u32 {
        let next = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(set).or_insert_with_key(|set| {
            self.sets.push(set.clone());
            next
        })
    }

    fn get(&self, number: u32) -> &BTreeSet<u32> {
        &self.sets[number as usize]
    }

    fn is_subset(&self, inner: u32, outer: u32) -> bool {
        inner == outer || self.get(inner).is_subset(self.get(outer))
    }

    fn intersection(&mut self, a: u32, b: u32) -> u32 {
        let both = self.get(a) & self.get(b);
        self.number(both)
    }
}

/// A conjunction. The default always holds.
#[derive(Clone, Default, PartialEq, Eq)]
struct Condition {
    owner: Option<bool>,
    terminal: bool,
    /// All arguments are in this set.
    within: Option<u32>,
    /// Of each of these sets, some argument is outside.
    outside: BTreeSet<u32>,
}

#[derive(Clone)]
struct Step {
    when: Condition,
    outcome: Outcome,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Permit(RuleId),
    Deny(RuleId),
    Alert(RuleId),
    Posture(Posture),
    /// Nothing has a say.
    Untouched,
}

/// Derives the plans of one rule set.
pub(crate) struct Planner<'s> {
    set: &'s RuleSet,
    names: &'s Names<'s>,
    allow_listed: BTreeSet<Class>,
    pub(crate) arguments: ArgumentSets,
}

impl<'s> Planner<'s> {
    pub(crate) fn new(set: &'s RuleSet, names: &'s Names<'s>) -> Self {
        let allows = set.rules.iter().filter(|rule| rule.action == Action::Allow);
        let allow_listed = allows.map(|rule| rule.object.class()).collect();
        Self { set, names, allow_listed, arguments: ArgumentSets::default() }
    }

    /// The plan of one class for rules that all concern the object and the source, first in precedence first.
    pub(crate) fn plan(
        &mut self,
        class: Class,
        concerned: &[RuleId],
        operation: Operation,
    ) -> Result<Plan, CompileError> {
        let mut tiers = [vec![], vec![]];
        let mut audits = vec![];
        for &id in concerned {
            let rule = &self.set.rules[id as usize];
            match (rule.action, rule.tier) {
                (Action::Audit, _) => audits.extend(self.audit_steps(id, rule, operation)),
                (_, Tier::Cluster) => tiers[0].extend(self.verdict_steps(id, rule, operation)),
                (_, Tier::Namespaced) => tiers[1].extend(self.verdict_steps(id, rule, operation)),
            }
        }
        let [cluster, namespaced] = tiers.map(|steps| self.pruned(steps));
        let mut verdicts = self.flattened(cluster, namespaced);
        let default = if self.allow_listed.contains(&class) {
            Outcome::Posture(self.set.postures.of(class))
        } else {
            Outcome::Untouched
        };
        verdicts.push(Step { when: Condition::default(), outcome: default });
        let verdicts = self.pruned(verdicts);
        let mut verdicts = self.with_one_argument_set(&verdicts, concerned)?;
        // The end of the list says the same.
        verdicts.pop_if(|last| last.outcome == Outcome::Untouched);
        let audits = self.pruned(audits);
        check_length(verdicts.len() + audits.len(), concerned, self.set)?;
        let words = |steps: Vec<Step>| steps.iter().map(|step| words(step, self.set)).collect();
        Ok(Plan { verdicts: words(verdicts), audits: words(audits) })
    }

    fn verdict_steps(&mut self, id: RuleId, rule: &Rule, operation: Operation) -> Vec<Step> {
        let arguments = self.allowed_arguments(rule);
        let mut applies = Condition::default();
        let mut improper = vec![];
        if rule.action == Action::Block {
            applies.terminal = rule.terminal_only;
            improper.extend(arguments.map(outside));
        } else {
            applies.within = arguments;
            improper.extend(rule.terminal_only.then(on_terminal));
        }
        improper.extend(rule.owner_only.then(not_owner));
        let conditions = rule.owner_only || rule.read_only || arguments.is_some();
        let forbidden = rule.action == Action::Block && !conditions
            || rule.read_only && operation == Operation::Change;
        if forbidden {
            return vec![Step { when: applies, outcome: Outcome::Deny(id) }];
        }
        let denials: Vec<_> = improper
            .into_iter()
            .filter_map(|when| self.both(&applies, &when))
            .map(|when| Step { when, outcome: Outcome::Deny(id) })
            .collect();
        denials.into_iter().chain([Step { when: applies, outcome: Outcome::Permit(id) }]).collect()
    }

    fn audit_steps(&mut self, id: RuleId, rule: &Rule, operation: Operation) -> Vec<Step> {
        let arguments = self.allowed_arguments(rule);
        let applies = Condition { terminal: rule.terminal_only, ..Condition::default() };
        let conditions = rule.owner_only || rule.read_only || arguments.is_some();
        if !conditions || rule.read_only && operation == Operation::Change {
            return vec![Step { when: applies, outcome: Outcome::Alert(id) }];
        }
        let improper = arguments.map(outside).into_iter().chain(rule.owner_only.then(not_owner));
        improper
            .filter_map(|when| self.both(&applies, &when))
            .map(|when| Step { when, outcome: Outcome::Alert(id) })
            .collect()
    }

    fn allowed_arguments(&mut self, rule: &Rule) -> Option<u32> {
        let allowed = rule.allowed_args.as_ref()?;
        let numbers = allowed.iter().filter_map(|arg| self.names.arguments.get(arg).copied());
        Some(self.arguments.number(numbers.collect()))
    }

    /// A cluster denial is final; what a cluster rule permits, the namespaced tier decides first.
    fn flattened(&mut self, cluster: Vec<Step>, namespaced: Vec<Step>) -> Vec<Step> {
        let mut steps = vec![];
        for first in cluster {
            if matches!(first.outcome, Outcome::Permit(_)) {
                for second in &namespaced {
                    if let Some(when) = self.both(&first.when, &second.when) {
                        steps.push(Step { when, outcome: second.outcome });
                    }
                }
            }
            steps.push(first);
        }
        steps.extend(namespaced);
        steps
    }

    /// Without the steps that an earlier one always forestalls.
    fn pruned(&self, steps: Vec<Step>) -> Vec<Step> {
        let mut kept: Vec<Step> = vec![];
        for step in steps {
            if !kept.iter().any(|earlier| self.implies(&step.when, &earlier.when)) {
                kept.push(step);
            }
        }
        kept
    }

    /// A step has room for one argument set. A step with more is preceded by what follows it, under each condition
    /// that would make it fail. The list must end in a step that always holds.
    fn with_one_argument_set(
        &mut self,
        steps: &[Step],
        concerned: &[RuleId],
    ) -> Result<Vec<Step>, CompileError> {
        let mut out = vec![];
        for (at, step) in steps.iter().enumerate() {
            let mut when = step.when.clone();
            if when.outside.len() + usize::from(when.within.is_some()) > 1 {
                for set in std::mem::take(&mut when.outside) {
                    let inside = Condition { within: Some(set), ..Condition::default() };
                    let Some(guard) = self.both(&when, &inside) else { continue };
                    let mut rest = vec![];
                    for later in &steps[at + 1..] {
                        if let Some(when) = self.both(&guard, &later.when) {
                            rest.push(Step { when, outcome: later.outcome });
                        }
                    }
                    let rest = self.pruned(rest);
                    out.extend(self.with_one_argument_set(&rest, concerned)?);
                }
            }
            out.push(Step { when, outcome: step.outcome });
            out = self.pruned(out);
            check_length(out.len(), concerned, self.set)?;
        }
        Ok(out)
    }

    /// `None` if the two exclude each other.
    fn both(&mut self, a: &Condition, b: &Condition) -> Option<Condition> {
        if let (Some(a), Some(b)) = (a.owner, b.owner)
            && a != b
        {
            return None;
        }
        let within = match (a.within, b.within) {
            (Some(a), Some(b)) => Some(self.arguments.intersection(a, b)),
            (a, b) => a.or(b),
        };
        let outside = &a.outside | &b.outside;
        if within.is_some_and(|w| outside.iter().any(|&o| self.arguments.is_subset(w, o))) {
            return None;
        }
        Some(Condition {
            owner: a.owner.or(b.owner),
            terminal: a.terminal || b.terminal,
            within,
            outside,
        })
    }

    fn implies(&self, narrow: &Condition, wide: &Condition) -> bool {
        let sets = &self.arguments;
        (wide.owner.is_none() || wide.owner == narrow.owner)
            && (narrow.terminal || !wide.terminal)
            && wide.within.is_none_or(|w| narrow.within.is_some_and(|n| sets.is_subset(n, w)))
            && wide.outside.iter().all(|&w| narrow.outside.iter().any(|&n| sets.is_subset(w, n)))
    }
}

fn check_length(count: usize, concerned: &[RuleId], set: &RuleSet) -> Result<(), CompileError> {
    if count <= PLAN_MAX_STEPS {
        return Ok(());
    }
    let named = |id: Option<&RuleId>| {
        id.map(|&id| set.rules[id as usize].origin.to_string()).unwrap_or_default()
    };
    Err(CompileError::PlanTooLong {
        count,
        limit: PLAN_MAX_STEPS,
        first: named(concerned.first()),
        second: named(concerned.last()),
    })
}

fn outside(set: u32) -> Condition {
    Condition { outside: BTreeSet::from([set]), ..Condition::default() }
}

fn not_owner() -> Condition {
    Condition { owner: Some(false), ..Condition::default() }
}

fn on_terminal() -> Condition {
    Condition { terminal: true, ..Condition::default() }
}

/// Whether a rule means certain programs and not whatever lies in a folder.
fn names_programs(rule: &Rule) -> bool {
    matches!(
        &rule.object,
        Object::Process(PathSet { named: PathObject::Path(_) | PathObject::ExecName(_), .. })
    )
}

fn words(of: &Step, set: &RuleSet) -> StepWords {
    let (outcome, rule) = match of.outcome {
        Outcome::Permit(rule) => (0, rule),
        Outcome::Deny(rule) if set.audited => (step::ALERT, rule),
        Outcome::Deny(rule) if names_programs(&set.rules[rule as usize]) => {
            (step::DENY | step::NAMED, rule)
        }
        Outcome::Deny(rule) => (step::DENY, rule),
        Outcome::Alert(rule) => (step::ALERT, rule),
        Outcome::Posture(Posture::Allow) => (step::POSTURE, RULE_POSTURE),
        Outcome::Posture(Posture::Audit) => (step::POSTURE | step::ALERT, RULE_POSTURE),
        Outcome::Posture(Posture::Block) if set.audited => {
            (step::POSTURE | step::ALERT, RULE_POSTURE)
        }
        Outcome::Posture(Posture::Block) => (step::POSTURE | step::DENY, RULE_POSTURE),
        Outcome::Untouched => (0, RULE_NONE),
    };
    let when = &of.when;
    let owner = match when.owner {
        Some(true) => step::IF_OWNER,
        Some(false) => step::IF_NOT_OWNER,
        None => 0,
    };
    let terminal = if when.terminal { step::IF_TERMINAL } else { 0 };
    let arguments = match (when.within, when.outside.first()) {
        (Some(set), _) => step::IF_ARGS_IN | set << step::ARG_SET_SHIFT,
        (None, Some(set)) => step::IF_ARGS_NOT_IN | set << step::ARG_SET_SHIFT,
        (None, None) => 0,
    };
    [outcome | owner | terminal | arguments, rule]
}
