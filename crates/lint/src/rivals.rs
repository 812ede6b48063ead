//! Pairs of an `Allow` and a `Block` that disagree on an access without one being an exception to the other.
//!
//! An exception is a rule that decides, and whose accesses are some of those of the rule that it overrules: that is how
//! policies are written. Where the two only overlap, or are about the very same, it takes the order of precedence to
//! know who wins, and their authors may not have known.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use compile::{Detail, path_classes};
use policy::{Action, PathObject};
use ruleset::{DecidedBy, Object, PathSet, Reach, Rule, RuleSet, reach};

use crate::{
    Level,
    accesses::{every, is_below, paths_of},
    collection::{Collection, Entry},
    finding::Findings,
    meeting::may_meet,
    words,
};

pub(crate) fn check(collection: &Collection, shadowed: &BTreeSet<Rule>, findings: &mut Findings) {
    let entries = collection.entries();
    let mut rivalries = Rivalries { meetings: HashMap::new(), shadowed };
    for (index, one) in entries.iter().enumerate() {
        for two in &entries[index..] {
            let company = company(one, two);
            let disputes = match company {
                Reach::Never => continue,
                Reach::Sometimes | Reach::Always => rivalries.between(one, two),
            };
            match company {
                Reach::Always => disputes.iter().for_each(|d| d.report(findings)),
                _ => report_possible(&disputes, findings),
            }
        }
    }
}

/// Whether two policies are together on a workload: always when one of them is there.
pub(crate) fn company(one: &Entry, two: &Entry) -> Reach {
    let back = reach(&two.policy, &one.policy);
    match reach(&one.policy, &two.policy) {
        Reach::Sometimes if back == Reach::Always => back,
        there => there,
    }
}

/// Two rules and an access on which they disagree.
struct Dispute<'e> {
    winner: (&'e Entry, &'e Rule),
    loser: (&'e Entry, &'e Rule),
    witness: String,
    reason: &'static str,
    /// Further rules that the winner disagrees with, or the loser.
    more: usize,
}

impl Dispute<'_> {
    fn words(&self) -> String {
        let (entry, rule) = self.loser;
        format!(
            "{} is contradicted by {}: {} is decided by the latter, since {}",
            words::rule(rule),
            words::reference(self.winner.0, self.winner.1, entry),
            self.witness,
            self.reason,
        )
    }

    fn report(&self, findings: &mut Findings) {
        let (entry, rule) = self.loser;
        let more = match self.more {
            0 => String::new(),
            more => format!(" ({more} more rules contradict it too)"),
        };
        let message = format!("{}{more}", self.words());
        findings.add(Level::Warning, "contradictory", entry.place_of(rule), message, HINT);
    }
}

const HINT: &str = "narrow one of the two, so that it is plainly an exception to the other";

/// One note for two policies that meet on some workloads only.
fn report_possible(disputes: &[Dispute<'_>], findings: &mut Findings) {
    let Some(first) = disputes.first() else { return };
    let rules = disputes.len();
    let message = format!(
        "only where both policies select one workload: {}{}",
        first.words(),
        if rules > 1 { format!(" ({} more rules)", rules - 1) } else { String::new() },
    );
    let (entry, rule) = first.loser;
    let hint = "select by a label that only one of them has, if they are not to meet";
    findings.add(Level::Note, "contradictory", entry.place_of(rule), message, hint);
}

struct Rivalries<'s> {
    /// How the paths of two objects lie to each other.
    meetings: HashMap<(PathSet, PathSet), Option<Meeting>>,
    shadowed: &'s BTreeSet<Rule>,
}

/// Of two sets that have something in common.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Meeting {
    only_one: bool,
    only_two: bool,
}

impl Meeting {
    fn and(self, other: Self) -> Self {
        Self {
            only_one: self.only_one || other.only_one,
            only_two: self.only_two || other.only_two,
        }
    }
}

impl Rivalries<'_> {
    /// One dispute for each rule that loses one.
    fn between<'e>(&mut self, one: &'e Entry, two: &'e Entry) -> Vec<Dispute<'e>> {
        let mut disputes: BTreeMap<&Rule, Dispute<'e>> = BTreeMap::new();
        let mut directions = vec![(one, two)];
        if one.policy.id != two.policy.id {
            directions.push((two, one));
        }
        for (allowing, blocking) in directions {
            for allow in of_action(allowing, Action::Allow) {
                for block in of_action(blocking, Action::Block) {
                    let Some(dispute) = self.dispute((allowing, allow), (blocking, block)) else {
                        continue;
                    };
                    disputes
                        .entry(dispute.loser.1)
                        .and_modify(|known| known.more += 1)
                        .or_insert(dispute);
                }
            }
        }
        disputes.into_values().collect()
    }

    fn dispute<'e>(
        &mut self,
        allow: (&'e Entry, &'e Rule),
        block: (&'e Entry, &'e Rule),
    ) -> Option<Dispute<'e>> {
        if !may_meet(allow.1, block.1) {
            return None;
        }
        let objects = self.objects(allow.1, block.1)?;
        let meeting = objects.and(sources(allow.1, block.1)?).and(Meeting {
            // Otherwise the one, or the other, has no say.
            only_one: block.1.terminal_only,
            only_two: allow.1.allowed_args.is_some(),
        });
        let (allow_wins, witness) = disagreement(allow.1, block.1)?;
        let (winner, loser, only_winner, only_loser) = if allow_wins {
            (allow, block, meeting.only_one, meeting.only_two)
        } else {
            (block, allow, meeting.only_two, meeting.only_one)
        };
        // Who blocks or allows a program by its name means it wherever it is.
        let exception = (!only_winner || is_name(winner.1)) && only_loser;
        if exception || self.shadowed.contains(loser.1) {
            return None;
        }
        let reason = reason(winner.1, loser.1);
        Some(Dispute { winner, loser, witness, reason, more: 0 })
    }

    /// `None` if the two have nothing in common.
    fn objects(&mut self, one: &Rule, two: &Rule) -> Option<Meeting> {
        match (&one.object, &two.object) {
            (Object::Process(paths), Object::Process(others))
            | (Object::File(paths), Object::File(others)) => {
                if paths == others {
                    return Some(Meeting { only_one: false, only_two: false });
                }
                let key = (paths.clone(), others.clone());
                *self.meetings.entry(key).or_insert_with(|| meet(one, two))
            }
            (Object::Network(one), Object::Network(two)) => meeting(
                compile::socket_witnesses().map(|socket| (socket.is_of(*one), socket.is_of(*two))),
            ),
            (Object::Capability(one), Object::Capability(two)) => meeting([(true, one == two)]),
            (Object::Dns(one), Object::Dns(two)) => {
                let names = [one, two];
                meeting(names.map(|name| (is_below(name, one), is_below(name, two))))
            }
            _ => None,
        }
    }
}

fn is_single(rule: &Rule) -> bool {
    match &rule.object {
        Object::Process(paths) | Object::File(paths) => matches!(paths.named, PathObject::Path(_)),
        _ => false,
    }
}

fn is_name(rule: &Rule) -> bool {
    matches!(&rule.object, Object::Process(PathSet { named: PathObject::ExecName(_), .. }))
}

fn of_action(entry: &Entry, action: Action) -> impl Iterator<Item = &Rule> {
    entry.rules.iter().filter(move |rule| rule.action == action)
}

/// From pairs that say of an object whether each of the two covers it.
fn meeting(covered: impl IntoIterator<Item = (bool, bool)>) -> Option<Meeting> {
    let mut both = false;
    let mut meeting = Meeting { only_one: false, only_two: false };
    for pair in covered {
        match pair {
            (true, true) => both = true,
            (true, false) => meeting.only_one = true,
            (false, true) => meeting.only_two = true,
            (false, false) => {}
        }
    }
    both.then_some(meeting)
}

/// How the paths of two rules lie to each other, whatever their sources.
fn meet(one: &Rule, two: &Rule) -> Option<Meeting> {
    let rules = [one, two].map(|rule| Rule { source: None, ..rule.clone() });
    let set = RuleSet { rules: rules.into(), ..RuleSet::default() };
    let classes = path_classes(&[&set], Detail::All).ok()?;
    meeting(classes.iter().map(|class| {
        let rules = &class.objects[0];
        (rules.contains(&0), rules.contains(&1))
    }))
}

fn sources(one: &Rule, two: &Rule) -> Option<Meeting> {
    match (&one.source, &two.source) {
        (None, None) => Some(Meeting { only_one: false, only_two: false }),
        (None, Some(_)) => Some(Meeting { only_one: true, only_two: false }),
        (Some(_), None) => Some(Meeting { only_one: false, only_two: true }),
        (Some(one), Some(two)) => {
            meeting(one.union(two).map(|source| (one.contains(source), two.contains(source))))
        }
    }
}

/// Whether the `Allow` wins, and an access on which the two disagree.
fn disagreement(allow: &Rule, block: &Rule) -> Option<(bool, String)> {
    let rules: BTreeSet<&Rule> = [allow, block].into();
    let set = RuleSet { rules: rules.into_iter().cloned().collect(), ..RuleSet::default() };
    // The paths that both are about, if one of them is a single path.
    let single = if is_single(block) { block } else { allow };
    let classes = paths_of(single, &set, Detail::All).ok()?;
    let mut found = None;
    every(&set, &classes, &mut |case| {
        let disagree = case.concerned.len() == 2
            && allow.verdict(&case.access) == Some(true)
            && block.verdict(&case.access) == Some(false);
        if let (None, true, Some(DecidedBy::Rule(id))) = (&found, disagree, case.decision.by) {
            let witness = words::access(&case.access, [allow, block]);
            found = Some((set.rules[id as usize] == *allow, witness));
        }
    })
    .ok()?;
    found
}

fn reason(winner: &Rule, loser: &Rule) -> &'static str {
    let kind = |rule: &Rule| match &rule.object {
        Object::Process(paths) | Object::File(paths) => match paths.named {
            PathObject::Path(_) => 0,
            PathObject::ExecName(_) => 1,
            PathObject::Pattern(_) => 2,
            PathObject::Directory { .. } => 3,
        },
        _ => 0,
    };
    match kind(winner) {
        _ if winner.tier != loser.tier && winner.action == Action::Block => {
            "a `Block` of a cluster policy is final"
        }
        _ if winner.source.is_some() && loser.source.is_none() => {
            "a rule with `fromSource` comes before one without"
        }
        0 if kind(loser) > 0 => "an exact path comes before names, patterns and directories",
        1 if kind(loser) > 1 => "a name comes before patterns and directories",
        2 if kind(loser) > 2 => "a pattern comes before a directory",
        2 if winner.action == Action::Allow => {
            "of two patterns the one that is literal for longer, then the longer one, comes first"
        }
        3 if winner.action == Action::Allow => "the deeper directory comes first",
        _ if winner.action == Action::Block && winner.object == loser.object => {
            "`Block` comes before `Allow` of the same"
        }
        _ => "it is as specific or more so, and `Block` wins where they are equal",
    }
}
