//! `karmor policy diff`: what two sets of policies decide differently, exactly, with a witness for each difference.

mod written;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{self, Write},
    path::PathBuf,
};

use anstream::AutoStream;
use clap::Args;
use compile::{Difference, diff};
use policy::{Place, Policy};
use ruleset::{
    DecidedBy, Decision, Links, Origin, RuleSet, Workload, WorkloadClass, workload_classes,
};
use serde_json::{Value, json};

use self::written::Rewritten;
use super::{
    Outcome,
    context::{Surroundings, rules},
    set::PolicySet,
    words::{self, ALERTED, DENIED, FAINT, PERMITTED},
};
use crate::failure::Advised;

pub(super) const EXIT_STATUS: &str =
    "Exit status: 0 equivalent, 1 different, 2 failed or wrong usage.

Example: karmor policy diff main/policies branch/policies";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A file or directory of policies
    old: PathBuf,
    /// What is to take its place
    new: PathBuf,
    /// Also compare what alerts say: policy, severity, tags, message
    #[arg(long)]
    alerts: bool,
    /// Show so many differences at most; 0 shows all
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    surroundings: Surroundings,
}

/// One way in which the two differ: the same rules decide, and with the same outcome.
struct Group {
    change: Change,
    /// Where it was met first.
    workload: Workload,
    difference: Difference,
    rules: [RuleSet; 2],
    /// How many classes of workloads, and of accesses in all of them.
    workloads: usize,
    accesses: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Change {
    Permitted,
    Denied,
    Unalerted,
    Alerted,
    Reworded,
}

/// Who decided and who alerted, before and after, by what does not depend on the workload.
type Parties = (Change, ruleset::Class, [Option<Party>; 4]);
/// `None` for a posture.
type Party = Option<Origin>;

struct Comparison {
    groups: Vec<Group>,
    /// Differences in what `decide` does not know.
    rewritten: Vec<Rewritten>,
    workloads: usize,
    complete: bool,
}

pub(super) fn run(options: &Options) -> anyhow::Result<Outcome> {
    let sets = [read(&options.old)?, read(&options.new)?];
    let filesystem = options.surroundings.filesystem()?;
    // Of one file system, whichever policies ask about it.
    let links = filesystem.links(sets.iter().flat_map(|set| &set.policies));
    let comparison = compare(&sets, &links, options)?;
    let differs = !comparison.is_empty();
    if !differs && !comparison.complete {
        let hint = "compare fewer policies at a time, or simpler selectors";
        let message = "the selectors tell more workloads apart than can be followed, and those that were do not differ";
        return Err(Advised::new(message, hint).into());
    }
    let notes = notes(&sets, &comparison, filesystem.is_known());
    if options.json {
        writeln!(io::stdout(), "{:#}", json(&comparison, &sets, &notes))?;
    } else {
        text(&comparison, &sets, &notes, options.limit, &mut AutoStream::auto(io::stdout()))?;
    }
    Ok(if differs { Outcome::Findings } else { Outcome::Clean })
}

/// An empty directory stands for no policies at all.
fn read(path: &PathBuf) -> anyhow::Result<PolicySet> {
    let empty = path.is_dir() && std::fs::read_dir(path)?.next().is_none();
    if empty { Ok(PolicySet::default()) } else { PolicySet::read(std::slice::from_ref(path)) }
}

fn compare(sets: &[PolicySet; 2], links: &Links, options: &Options) -> anyhow::Result<Comparison> {
    let policies: Vec<&Policy> = sets.iter().flat_map(|set| &set.policies).collect();
    let changed = changed(sets);
    let mut found = workload_classes(&policies, &changed);
    // The plainest workload makes the best witness.
    found.classes.sort_by_key(|class| (class.workload.labels.len(), class.selected.len()));
    let mut groups: HashMap<Parties, Group> = HashMap::new();
    let mut known: HashMap<[RuleSet; 2], Vec<Difference>> = HashMap::new();
    for WorkloadClass { workload, .. } in &found.classes {
        let of = |side: usize| rules(&sets[side].policies, workload, &options.surroundings, links);
        let mut pair = [of(0)?, of(1)?];
        agree_on_binaries(&mut pair);
        if !known.contains_key(&pair) {
            let alike = |old: &Decision, new: &Decision| {
                change(*old, *new, &pair, options.alerts).is_none()
            };
            known.insert(pair.clone(), diff(&pair[0], &pair[1], alike)?);
        }
        for difference in &known[&pair] {
            let Some(change) = change(difference.old, difference.new, &pair, options.alerts) else {
                continue;
            };
            let key = (change, difference.class, parties(difference, &pair));
            let group = groups.entry(key).or_insert_with(|| Group {
                change,
                workload: workload.clone(),
                difference: difference.clone(),
                rules: pair.clone(),
                workloads: 0,
                accesses: 0,
            });
            group.workloads += 1;
            group.accesses += difference.classes;
        }
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by_cached_key(|group| {
        let access = &group.difference.access;
        (
            group.change,
            group.difference.class,
            words::access(access),
            words::workload(&group.workload),
        )
    });
    Ok(Comparison {
        groups,
        rewritten: written::compare(sets, options.alerts),
        workloads: found.classes.len(),
        complete: found.complete,
    })
}

/// Indices of the policies that are not the same on both sides. Only workloads that one of them selects can differ.
fn changed(sets: &[PolicySet; 2]) -> BTreeSet<usize> {
    let other = |side: usize| -> BTreeMap<_, _> {
        sets[1 - side].policies.iter().map(|policy| (&policy.id, policy)).collect()
    };
    let others = [other(0), other(1)];
    let sided =
        [0, 1].into_iter().flat_map(|side| sets[side].policies.iter().map(move |p| (side, p)));
    let differs = |(_, (side, policy)): &(usize, (usize, &Policy))| {
        others[*side].get(&policy.id) != Some(policy)
    };
    sided.enumerate().filter(differs).map(|(index, _)| index).collect()
}

/// Binaries are left out of a rule set that has no rule about programs, yet both are about one file system.
fn agree_on_binaries([old, new]: &mut [RuleSet; 2]) {
    let all: BTreeSet<String> = old.multicall.union(&new.multicall).cloned().collect();
    old.multicall.clone_from(&all);
    new.multicall = all;
}

fn change(old: Decision, new: Decision, rules: &[RuleSet; 2], alerts: bool) -> Option<Change> {
    match (old.permitted, new.permitted) {
        (false, true) => return Some(Change::Permitted),
        (true, false) => return Some(Change::Denied),
        _ => {}
    }
    match (old.alert, new.alert) {
        (Some(_), None) => Some(Change::Unalerted),
        (None, Some(_)) => Some(Change::Alerted),
        (Some(old), Some(new)) => {
            let differ = said(old, &rules[0]) != said(new, &rules[1]);
            (alerts && differ).then_some(Change::Reworded)
        }
        (None, None) => None,
    }
}

/// What an alert says of the rule that raised it: all but its place.
fn said(by: DecidedBy, rules: &RuleSet) -> Option<Origin> {
    match by {
        DecidedBy::Rule(id) => {
            let place = Place(String::new());
            Some(Origin { place, ..rules.rules[id as usize].origin.clone() })
        }
        DecidedBy::Posture(_) => None,
    }
}

fn parties(difference: &Difference, rules: &[RuleSet; 2]) -> [Option<Party>; 4] {
    let party = |by: Option<DecidedBy>, side: usize| {
        by.map(|by| match by {
            DecidedBy::Rule(id) => Some(rules[side].rules[id as usize].origin.clone()),
            DecidedBy::Posture(_) => None,
        })
    };
    let Difference { old, new, .. } = difference;
    [party(old.by, 0), party(old.alert, 0), party(new.by, 1), party(new.alert, 1)]
}

fn notes(sets: &[PolicySet; 2], comparison: &Comparison, links_known: bool) -> Vec<String> {
    let mut notes = vec![];
    if !comparison.complete {
        notes.push(
            "the selectors tell more workloads apart than were followed: there may be more differences"
                .to_owned(),
        );
    }
    if !links_known {
        notes.push(
            "links are not resolved: paths count as written (--root DIR follows them)".into(),
        );
    }
    notes.extend(sets.iter().flat_map(PolicySet::remarks));
    notes
}

fn text(
    comparison: &Comparison,
    sets: &[PolicySet; 2],
    notes: &[String],
    limit: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let Comparison { groups, rewritten, .. } = comparison;
    let all = groups.len() + rewritten.len();
    if all == 0 {
        writeln!(out, "{PERMITTED}equivalent{PERMITTED:#}")?;
    }
    let shown = if limit == 0 { all } else { limit.min(all) };
    for group in groups.iter().take(shown) {
        group.text(sets, out)?;
    }
    for difference in rewritten.iter().take(shown.saturating_sub(groups.len())) {
        difference.text(sets, out)?;
    }
    if all > 0 {
        let rest = all - shown;
        let more = if rest > 0 {
            format!("; {rest} not shown (--limit 0 shows all)")
        } else {
            String::new()
        };
        writeln!(out, "{}: {}{more}", words::count(all, "difference"), comparison.counts())?;
    }
    for note in notes {
        writeln!(out, "{FAINT}note: {note}{FAINT:#}")?;
    }
    Ok(())
}

impl Comparison {
    fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.rewritten.is_empty()
    }

    /// `1 newly permitted, 2 added`
    fn counts(&self) -> String {
        let decided = Change::ALL.map(|change| {
            (self.groups.iter().filter(|group| group.change == change).count(), change.word())
        });
        let written = Rewritten::WORDS
            .map(|word| (self.rewritten.iter().filter(|one| one.word() == word).count(), word));
        let counts = decided.into_iter().chain(written).filter(|(count, _)| *count > 0);
        counts.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
    }
}

impl Change {
    const ALL: [Self; 5] =
        [Self::Permitted, Self::Denied, Self::Unalerted, Self::Alerted, Self::Reworded];

    fn word(self) -> &'static str {
        match self {
            Self::Permitted => "newly permitted",
            Self::Denied => "newly denied",
            Self::Unalerted => "no longer alerted",
            Self::Alerted => "newly alerted",
            Self::Reworded => "alerted in other words",
        }
    }

    fn style(self) -> anstyle::Style {
        match self {
            Self::Permitted | Self::Unalerted => PERMITTED,
            Self::Denied => DENIED,
            Self::Alerted | Self::Reworded => ALERTED,
        }
    }
}

impl Group {
    fn text(&self, sets: &[PolicySet; 2], out: &mut dyn Write) -> io::Result<()> {
        let style = self.change.style();
        let access = words::access(&self.difference.access);
        writeln!(out, "{style}{}{style:#}: {access}", self.change.word())?;
        writeln!(out, "  in {}", words::workload(&self.workload))?;
        let Difference { old, new, .. } = self.difference;
        for (word, decision, side) in [("old", old, 0), ("new", new, 1)] {
            let (verdict, _) = words::verdict(decision);
            let by = words::decider(decision.by, &self.rules[side], &sets[side]);
            writeln!(out, "  {word}: {verdict} by {by}")?;
            let audit =
                decision.alert.filter(|_| decision.permitted && decision.alert != decision.by);
            if audit.is_some() {
                let by = words::decider(audit, &self.rules[side], &sets[side]);
                writeln!(out, "       alert by {by}")?;
            }
        }
        if self.accesses > 1 {
            let workloads = match self.workloads {
                1 => String::new(),
                more => format!(" in {more} classes of workloads"),
            };
            writeln!(
                out,
                "  {FAINT}one of {} classes of accesses{workloads}{FAINT:#}",
                self.accesses
            )?;
        }
        writeln!(out)
    }

    fn json(&self, sets: &[PolicySet; 2]) -> Value {
        let Difference { access, old, new, class, .. } = &self.difference;
        json!({
            "change": self.change.word(),
            "class": words::class(*class),
            "access": words::access_json(access),
            "workload": words::workload_json(&self.workload),
            "old": words::decision_json(*old, &self.rules[0], &sets[0]),
            "new": words::decision_json(*new, &self.rules[1], &sets[1]),
            "accessClasses": self.accesses,
            "workloadClasses": self.workloads,
        })
    }
}

fn json(comparison: &Comparison, sets: &[PolicySet; 2], notes: &[String]) -> Value {
    let decided = comparison.groups.iter().map(|group| group.json(sets));
    let written = comparison.rewritten.iter().map(|difference| difference.json(sets));
    json!({
        "equivalent": comparison.is_empty(),
        "differences": decided.chain(written).collect::<Vec<_>>(),
        "workloadClasses": comparison.workloads,
        "complete": comparison.complete,
        "notes": notes,
    })
}
