//! `Allow` rules that turn a class of the whole workload into an allow-list.

use std::fmt::Write as _;

use policy::Action;
use ruleset::{Class, Reach, Rule};

use crate::{Level, collection::Entry, finding::Findings, rivals::company, words};

const CLASSES: [Class; 5] =
    [Class::Process, Class::File, Class::Network, Class::Dns, Class::Capabilities];

pub(crate) fn check(entry: &Entry, entries: &[Entry], findings: &mut Findings) {
    for class in CLASSES {
        let allows = || of_class(entry, class, Action::Allow);
        // The first in the text.
        let Some(first) = allows().min_by_key(|rule| entry.place_of(rule).1) else { continue };
        let blocking = blocking(entry, entries, class);
        let sources = allows().all(|rule| rule.source.is_some());
        let (level, message, hint) = say(class, first, sources, blocking);
        findings.add(level, "allow-list", entry.place_of(first), message, hint);
    }
}

fn of_class(entry: &Entry, class: Class, action: Action) -> impl Iterator<Item = &Rule> {
    entry.rules.iter().filter(move |rule| rule.object.class() == class && rule.action == action)
}

/// What only blocks on workloads that the policy is on: other rules of its own, and whole policies.
fn blocking(entry: &Entry, entries: &[Entry], class: Class) -> Option<String> {
    let has = |of: &Entry, action| of_class(of, class, action).next().is_some();
    let own = has(entry, Action::Block).then(|| "other rules of the policy".to_owned());
    let only_blocks = |other: &&Entry| has(other, Action::Block) && !has(other, Action::Allow);
    let mut others = entries
        .iter()
        .filter(only_blocks)
        .filter(|other| !std::ptr::eq(*other, entry) && company(entry, other) == Reach::Always);
    let other = others.next().map(words::policy);
    let more = match others.count() {
        0 => None,
        1 => Some("1 more policy".to_owned()),
        more => Some(format!("{more} more policies")),
    };
    let one_policy = own.is_none() && more.is_none();
    let named: Vec<String> = [own, other, more].into_iter().flatten().collect();
    let verb = if one_policy { "blocks" } else { "block" };
    (!named.is_empty()).then(|| format!("{} only {verb}", named.join(" and ")))
}

fn say(
    class: Class,
    first: &Rule,
    sources: bool,
    blocking: Option<String>,
) -> (Level, String, &'static str) {
    let noun = words::class(class);
    let posture = words::posture(class);
    let mut message = format!(
        "`Allow` turns {noun} of the whole workload into an allow-list: what no rule names gets the default {posture} posture"
    );
    if sources {
        let from = first.source.iter().flatten().next().map_or("", String::as_str);
        let _ = write!(message, ", for every program and not only for `{from}`");
    }
    let level = if sources || blocking.is_some() { Level::Warning } else { Level::Note };
    let hint = if sources {
        "to restrict that program alone, block the path and allow it from the program; or add an `Allow` for all others"
    } else if blocking.is_some() {
        "leave the `Allow` out if only the blocked is to be refused; else name all that is needed"
    } else {
        "set the posture to `block` to refuse the rest, `audit` only alerts"
    };
    if let Some(blocking) = blocking {
        let _ = write!(message, ", though {blocking}");
    }
    (level, message, hint)
}
