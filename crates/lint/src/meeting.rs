//! A quick look at whether two rules can concern one access, before the automata are asked.

use policy::{Action, PathObject};
use ruleset::{Object, PathSet, Rule, literal_prefix, matches};

use crate::accesses::is_below;

/// False only if no access concerns both.
pub(crate) fn may_meet(one: &Rule, two: &Rule) -> bool {
    let sources = match (&one.source, &two.source) {
        (Some(one), Some(two)) => !one.is_disjoint(two),
        _ => true,
    };
    sources
        && match (&one.object, &two.object) {
            (Object::Process(one), Object::Process(two))
            | (Object::File(one), Object::File(two)) => paths_may_meet(one, two),
            (Object::Network(_), Object::Network(_)) => true,
            (Object::Capability(one), Object::Capability(two)) => one == two,
            (Object::Preset(one), Object::Preset(two)) => one == two,
            // A query that cannot be read concerns all that block.
            _ if [one, two].iter().all(|rule| is_dns_block(rule)) => true,
            (Object::Dns(one), Object::Dns(two)) => is_below(one, two) || is_below(two, one),
            _ => false,
        }
}

fn is_dns_block(rule: &Rule) -> bool {
    rule.action == Action::Block && matches!(rule.object, Object::Dns(_))
}

/// Exact where one names a single path; else by what everything that an object covers begins with.
fn paths_may_meet(one: &PathSet, two: &PathSet) -> bool {
    match (&one.named, &two.named) {
        (PathObject::Path(path), object) | (object, PathObject::Path(path)) => {
            matches(object, path.as_bytes())
        }
        (one, two) => {
            let (one, two) = (beginning(one), beginning(two));
            one.starts_with(&two) || two.starts_with(&one)
        }
    }
}

fn beginning(object: &PathObject) -> String {
    match object {
        PathObject::Path(path) => path.clone(),
        PathObject::Directory { dir, .. } => dir.trim_end_matches('/').to_owned(),
        PathObject::Pattern(pattern) => literal_prefix(pattern),
        PathObject::ExecName(_) => String::new(),
    }
}
