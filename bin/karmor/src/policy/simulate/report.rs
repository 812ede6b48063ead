//! What the policies would have changed, and everything else accounted for.

use std::{
    collections::{BTreeSet, HashMap},
    io::{self, Write},
    rc::Rc,
};

use policy::PathObject;
use ruleset::{
    DecidedBy, Decision, Links, Object, OwnedAccess, OwnedObject, RuleSet, Workload, decide,
};
use serde_json::{Value, json};

use super::{
    event::{Doing, Open},
    tally::{Entry, Tally, Unjudged},
};
use crate::policy::{
    context::{Surroundings, rules},
    set::PolicySet,
    words::{self, ALERTED, DENIED, FAINT, PERMITTED},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    Denied,
    Permitted,
    Alerted,
    Unalerted,
}

/// Events of one workload on one resource that would have gone otherwise, by the same rule.
pub(super) struct Change {
    kind: Kind,
    workload: Workload,
    /// One of them.
    access: OwnedAccess,
    by: Option<DecidedBy>,
    rules: Rc<RuleSet>,
    /// The programs that did it.
    subjects: BTreeSet<Option<Vec<u8>>>,
    times: u64,
    first: String,
    last: String,
}

/// The object without arguments.
type Key = (Kind, Workload, Option<DecidedBy>, OwnedObject);

pub(super) struct Report {
    events: u64,
    own: u64,
    as_before: u64,
    pub(super) changes: Vec<Change>,
    unjudged: Unjudged,
    notes: Vec<String>,
}

impl Report {
    pub(super) fn of(
        tally: Tally,
        set: &PolicySet,
        surroundings: &Surroundings,
        links: &Links,
        links_known: bool,
    ) -> anyhow::Result<Self> {
        let mut report = Self {
            events: tally.events,
            own: tally.own,
            as_before: 0,
            changes: vec![],
            unjudged: tally.unfit,
            notes: vec![],
        };
        let mut known: HashMap<Workload, Rc<RuleSet>> = HashMap::new();
        let mut changes: HashMap<Key, Change> = HashMap::new();
        for ((workload, doing), entry) in tally.accesses {
            if !known.contains_key(&workload) {
                let rules = rules(&set.policies, &workload, surroundings, links)?;
                known.insert(workload.clone(), Rc::new(rules));
            }
            let rules = &known[&workload];
            if let Some((key, change)) = report.judge(workload, &doing, entry, rules) {
                match changes.get_mut(&key) {
                    Some(known) => known.merge(change),
                    None => drop(changes.insert(key, change)),
                }
            }
        }
        report.changes = changes.into_values().collect();
        report.changes.sort_by_cached_key(|change| {
            (change.kind, std::cmp::Reverse(change.times), words::access(&change.access))
        });
        report.note(set, links_known);
        Ok(report)
    }

    /// What the policies would have changed about one access, if they would.
    fn judge(
        &mut self,
        workload: Workload,
        doing: &Doing,
        entry: Entry,
        rules: &Rc<RuleSet>,
    ) -> Option<(Key, Change)> {
        let decision = match judge(rules, doing) {
            Ok(decision) => decision,
            Err(missing) => {
                let reason = format!("its verdict depends on {missing}, which is not recorded");
                self.unjudged.add(&reason, entry.events(), || entry.place);
                return None;
            }
        };
        let (kind, times) = match (decision.permitted, decision.alert) {
            (false, _) => (Kind::Denied, entry.alerted + entry.permitted),
            (true, _) if entry.denied > 0 => (Kind::Permitted, entry.denied),
            // Of a program that was audited there is an alert and a log.
            (true, Some(_)) if entry.alerted == 0 => (Kind::Alerted, entry.permitted),
            (true, None) => (Kind::Unalerted, entry.alerted),
            (true, Some(_)) => (Kind::Alerted, 0),
        };
        self.as_before += entry.events() - times;
        if times == 0 {
            return None;
        }
        let by = if kind == Kind::Alerted { decision.alert } else { decision.by };
        let mut object = doing.access.object.clone();
        if let OwnedObject::Execute { args, .. } = &mut object {
            args.clear();
        }
        let change = Change {
            kind,
            workload: workload.clone(),
            access: doing.access.clone(),
            by,
            rules: Rc::clone(rules),
            subjects: BTreeSet::from([doing.access.subject.clone()]),
            times,
            first: entry.first,
            last: entry.last,
        };
        Some(((kind, workload, by, object), change))
    }

    fn note(&mut self, set: &PolicySet, links_known: bool) {
        if !links_known {
            let note =
                "links are not resolved: rules hold for paths as written (--root DIR follows them)";
            self.notes.push(note.to_owned());
        }
        self.notes.extend(set.remarks());
        let reasons = set.not_judged().into_iter();
        self.notes.extend(reasons.map(|reason| format!("not considered: {reason}")));
    }

    pub(super) fn text(
        &self,
        set: &PolicySet,
        limit: usize,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let shown = if limit == 0 { self.changes.len() } else { limit.min(self.changes.len()) };
        for change in &self.changes[..shown] {
            change.text(set, out)?;
        }
        if shown < self.changes.len() {
            let rest = self.changes.len() - shown;
            writeln!(out, "{rest} more changes are not shown (--limit 0 shows all)\n")?;
        }
        write!(out, "{} events: {} as before", self.events, self.as_before)?;
        for kind in Kind::ALL {
            let times = self.times(kind);
            if times > 0 {
                let style = kind.style();
                write!(out, ", {style}{times} {}{style:#}", kind.word())?;
            }
        }
        let unjudged: u64 = self.unjudged.0.values().map(|(count, _)| count).sum();
        writeln!(out, ", {unjudged} not judged, {} of the agent itself", self.own)?;
        for (reason, (count, place)) in &self.unjudged.0 {
            writeln!(out, "  not judged: {count}, such as {place}: {reason}")?;
        }
        for note in &self.notes {
            writeln!(out, "{FAINT}note: {note}{FAINT:#}")?;
        }
        Ok(())
    }

    fn times(&self, kind: Kind) -> u64 {
        self.changes.iter().filter(|change| change.kind == kind).map(|change| change.times).sum()
    }

    pub(super) fn json(&self, set: &PolicySet) -> Value {
        let unjudged = self.unjudged.0.iter();
        let unjudged = unjudged.map(
            |(reason, (count, place))| json!({"reason": reason, "events": count, "first": place}),
        );
        json!({
            "events": self.events,
            "asBefore": self.as_before,
            "agentsOwn": self.own,
            "newlyDenied": self.times(Kind::Denied),
            "newlyPermitted": self.times(Kind::Permitted),
            "newlyAlerted": self.times(Kind::Alerted),
            "noLongerAlerted": self.times(Kind::Unalerted),
            "changes": self.changes.iter().map(|change| change.json(set)).collect::<Vec<_>>(),
            "notJudged": unjudged.collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

/// The decision, if it is the same whatever the record leaves open; else what it depends on.
fn judge(rules: &RuleSet, doing: &Doing) -> Result<Decision, &'static str> {
    let decide = |access: &OwnedAccess| access.with(|access| decide(rules, access));
    let decision = decide(&doing.access);
    let alike = |other: &OwnedAccess| {
        let other = decide(other);
        (other.permitted, other.alert.is_some()) == (decision.permitted, decision.alert.is_some())
    };
    for open in &doing.open {
        let mut others = possibilities(rules, &doing.access, open).into_iter();
        if !others.all(|other| alike(&other)) {
            return Err(open.word());
        }
    }
    if !applets(rules, &doing.access).iter().all(alike) {
        return Err("which applet of a multi-call binary it was");
    }
    Ok(decision)
}

impl Open {
    fn word(&self) -> &'static str {
        match self {
            Self::Owner => "whether the process owns the object",
            Self::Subject => "the acting program",
            Self::Arguments => "arguments that were cut off",
            Self::Socket(_) => "the kind of the socket",
        }
    }
}

/// What else the access may have been.
fn possibilities(rules: &RuleSet, access: &OwnedAccess, open: &Open) -> Vec<OwnedAccess> {
    let mut other = access.clone();
    match open {
        Open::Owner => other.owner = !access.owner,
        Open::Socket(socket) => other.object = OwnedObject::Socket(*socket),
        Open::Arguments => {
            if let OwnedObject::Execute { args, .. } = &mut other.object {
                args.push(b"...".to_vec());
            }
        }
        Open::Subject => return sources(rules).map(|source| from(access, source)).collect(),
    }
    vec![other]
}

fn from(access: &OwnedAccess, source: &str) -> OwnedAccess {
    OwnedAccess { subject: Some(source.as_bytes().to_vec()), ..access.clone() }
}

fn sources(rules: &RuleSet) -> impl Iterator<Item = &String> {
    let sources: BTreeSet<&String> =
        rules.rules.iter().filter_map(|rule| rule.source.as_ref()).flatten().collect();
    sources.into_iter()
}

/// Records name the binary only; the applets that rules name are what may matter.
fn applets(rules: &RuleSet, access: &OwnedAccess) -> Vec<OwnedAccess> {
    let of = |binary: Option<&[u8]>, path: &str| {
        let known =
            |binary: &&[u8]| rules.multicall.iter().any(|known| known.as_bytes() == *binary);
        let applets = binary.filter(known).map(|binary| [binary, b"//"].concat());
        applets.is_some_and(|applets| path.as_bytes().starts_with(&applets))
    };
    let subject = access.subject.as_deref();
    let by_subject = sources(rules).filter(|path| of(subject, path)).map(|path| from(access, path));
    let mut others: Vec<OwnedAccess> = by_subject.collect();
    if let OwnedObject::Execute { path, args } = &access.object {
        for named in programs(rules).filter(|named| of(path.as_deref(), named)) {
            let path = Some(named.as_bytes().to_vec());
            let object = OwnedObject::Execute { path, args: args.clone() };
            others.push(OwnedAccess { object, ..access.clone() });
        }
    }
    others
}

/// The paths that process rules name or reach by links.
fn programs(rules: &RuleSet) -> impl Iterator<Item = &String> {
    rules.rules.iter().flat_map(|rule| {
        let paths = match &rule.object {
            Object::Process(paths) => Some(paths),
            _ => None,
        };
        let objects =
            paths.into_iter().flat_map(|paths| std::iter::once(&paths.named).chain(&paths.linked));
        objects.filter_map(|object| match object {
            PathObject::Path(path) => Some(path),
            _ => None,
        })
    })
}

impl Kind {
    const ALL: [Self; 4] = [Self::Denied, Self::Permitted, Self::Alerted, Self::Unalerted];

    fn word(self) -> &'static str {
        match self {
            Self::Denied => "newly denied",
            Self::Permitted => "newly permitted",
            Self::Alerted => "newly alerted",
            Self::Unalerted => "no longer alerted",
        }
    }

    fn style(self) -> anstyle::Style {
        match self {
            Self::Denied => DENIED,
            Self::Permitted | Self::Unalerted => PERMITTED,
            Self::Alerted => ALERTED,
        }
    }
}

impl Change {
    fn merge(&mut self, other: Self) {
        self.times += other.times;
        self.first = other.first.min(std::mem::take(&mut self.first));
        self.last = other.last.max(std::mem::take(&mut self.last));
        self.subjects.extend(other.subjects);
        // The same one whatever the order in which they were counted.
        if words::access(&other.access) < words::access(&self.access) {
            self.access = other.access;
        }
    }

    fn text(&self, set: &PolicySet, out: &mut dyn Write) -> io::Result<()> {
        let style = self.kind.style();
        let access = words::access(&self.access);
        let others = match self.subjects.len() {
            0 | 1 => String::new(),
            many => format!(" (and {})", words::count(many - 1, "other program")),
        };
        writeln!(out, "{style}{}{style:#}: {access}{others}", self.kind.word())?;
        writeln!(out, "  in {}", words::workload(&self.workload))?;
        writeln!(out, "  by {}", words::decider(self.by, &self.rules, set))?;
        match (self.times, &self.first, &self.last) {
            (1, first, _) => writeln!(out, "  once, at {first}\n"),
            (times, first, last) => writeln!(out, "  {times} times, from {first} to {last}\n"),
        }
    }

    fn json(&self, set: &PolicySet) -> Value {
        json!({
            "change": self.kind.word(),
            "workload": words::workload_json(&self.workload),
            "access": words::access_json(&self.access),
            "by": words::decider_json(self.by, &self.rules, set),
            "programs": self.subjects.iter().flatten().map(|path| words::text(path)).collect::<Vec<_>>(),
            "events": self.times,
            "first": self.first,
            "last": self.last,
        })
    }
}
