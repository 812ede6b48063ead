//! Which of several rules that concern one access comes first.

use std::cmp::Reverse;

use policy::{Action, PathObject};

use crate::{Object, Rule, RuleId, Tier, glob};

/// Orders rules that concern one access; the smallest comes first. Only rules of one class are comparable.
///
/// Tier, then source, then the object's kind, then two measures of how exact it is within its kind, then the action
/// (`Block` before `Allow`), then the rule's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence {
    tier: Tier,
    without_source: bool,
    kind: ObjectKind,
    exactness: Reverse<(usize, usize)>,
    action: Reverse<Action>,
    id: RuleId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ObjectKind {
    /// Exact paths, and all objects that are no paths.
    Exact,
    ExecName,
    Pattern,
    Directory,
}

pub fn precedence(id: RuleId, rule: &Rule) -> Precedence {
    let (kind, exactness) = match &rule.object {
        // What a rule's links add does not change how specific its author was.
        Object::Process(paths) | Object::File(paths) => path_exactness(&paths.named),
        Object::Network(_) | Object::Dns(_) | Object::Capability(_) => (ObjectKind::Exact, (0, 0)),
    };
    Precedence {
        tier: rule.tier,
        without_source: rule.source.is_none(),
        kind,
        exactness: Reverse(exactness),
        action: Reverse(rule.action),
        id,
    }
}

fn path_exactness(object: &PathObject) -> (ObjectKind, (usize, usize)) {
    match object {
        PathObject::Path(_) => (ObjectKind::Exact, (0, 0)),
        PathObject::ExecName(_) => (ObjectKind::ExecName, (0, 0)),
        PathObject::Pattern(pattern) => {
            (ObjectKind::Pattern, (glob::literal_prefix(pattern).len(), pattern.len()))
        }
        PathObject::Directory { dir, .. } => (ObjectKind::Directory, (dir.matches('/').count(), 0)),
    }
}
