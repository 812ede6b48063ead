//! Which of several rules that concern one access comes first.

use std::cmp::Reverse;

use policy::{Action, PathObject};

use crate::{Object, Rule, RuleId, SyscallObject, Tier, glob};

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

/// By what one rule comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// A denial by the cluster tier is final.
    ClusterTier,
    /// What the cluster tier permits the namespaced tier decides.
    NamespacedTier,
    /// With `fromSource` before without.
    Source,
    /// Path before name before pattern before directory.
    Kind,
    /// The longer literal prefix, the longer pattern, the deeper directory.
    Exactness,
    /// `Block` before `Allow`.
    Action,
    /// Equals; the first of them is named.
    Order,
}

impl Precedence {
    /// By what this one, the winner, comes before the other.
    pub fn rank(self, other: Self) -> Rank {
        if self.tier != other.tier {
            Rank::ClusterTier
        } else if self.without_source != other.without_source {
            Rank::Source
        } else if self.kind != other.kind {
            Rank::Kind
        } else if self.exactness != other.exactness {
            Rank::Exactness
        } else if self.action != other.action {
            Rank::Action
        } else {
            Rank::Order
        }
    }
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
        Object::Process(paths)
        | Object::File(paths)
        | Object::Syscall(SyscallObject { path: Some(paths), .. }) => path_exactness(&paths.named),
        // Of two domains the deeper one, as with directories.
        Object::Dns(domain) => (ObjectKind::Directory, (domain.matches('.').count(), 0)),
        Object::Network(_) | Object::Capability(_) | Object::Preset(_) | Object::Syscall(_) => {
            (ObjectKind::Exact, (0, 0))
        }
    };
    let any_subject = match &rule.object {
        Object::Syscall(watched) => watched.sources.is_none(),
        _ => rule.source.is_none(),
    };
    Precedence {
        tier: rule.tier,
        without_source: any_subject,
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
