//! `Allow` rules that turn a class of the whole workload into an allow-list.

use policy::Action;
use ruleset::{Class, Rule};

use crate::{Level, collection::Entry, finding::Findings, words};

const CLASSES: [Class; 5] =
    [Class::Process, Class::File, Class::Network, Class::Dns, Class::Capabilities];

pub(crate) fn check(entry: &Entry, findings: &mut Findings) {
    for class in CLASSES {
        let of_class = || entry.rules.iter().filter(|rule| rule.object.class() == class);
        let allows = || of_class().filter(|rule| rule.action == Action::Allow);
        // The first in the text.
        let Some(first) = allows().min_by_key(|rule| entry.place_of(rule).1) else { continue };
        let blocks = of_class().any(|rule| rule.action == Action::Block);
        let sources = allows().all(|rule| rule.source.is_some());
        let (level, message, hint) = say(class, first, sources, blocks);
        findings.add(level, "allow-list", entry.place_of(first), message, hint);
    }
}

fn say(class: Class, first: &Rule, sources: bool, blocks: bool) -> (Level, String, &'static str) {
    let noun = words::class(class);
    let posture = words::posture(class);
    let flips = format!(
        "`Allow` turns {noun} of the whole workload into an allow-list: what no rule names gets the default {posture} posture"
    );
    if sources {
        let from = first.source.iter().flatten().next().map_or("", String::as_str);
        let message = format!("{flips}, for every program and not only for `{from}`");
        (
            Level::Warning,
            message,
            "to restrict that program alone, block the path and allow it from the program; or add an `Allow` for all others",
        )
    } else if blocks {
        let message = format!("{flips}, though other rules of the policy only block");
        (
            Level::Warning,
            message,
            "leave the `Allow` out if only the blocked is to be refused; else name all that is needed",
        )
    } else {
        (Level::Note, flips, "set the posture to `block` to refuse the rest, `audit` only alerts")
    }
}
