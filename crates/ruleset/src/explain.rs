//! Why [`decide`] decides as it does: each rule that covers an object, and what part it had.

use std::collections::BTreeSet;

use policy::{Action, PathObject};

use crate::{
    Access, AccessObject, Class, DecidedBy, Decision, FileOperation, Object, Precedence, Rank,
    Rule, RuleId, RuleSet, Tier, cover::matches_virtual, decide, precedence,
};

/// One decision, with everything that had or could have had a say in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub decision: Decision,
    /// `None` if rules never judge such objects.
    pub class: Option<Class>,
    /// The class is in allow-list mode: its posture decides what no rule does.
    pub allow_listed: bool,
    /// The rules whose object covers the access, in the order of precedence, which puts the cluster tier first.
    pub considered: Vec<Considered>,
    /// How many rules of the class name other objects.
    pub elsewhere: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered {
    pub rule: RuleId,
    pub part: Part,
}

/// What one rule had to do with a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Decides {
        permits: bool,
        ground: Ground,
    },
    /// It would permit or deny, had not another rule come first.
    Yields {
        permits: bool,
        ground: Ground,
        to: RuleId,
        rank: Rank,
    },
    /// An `Audit` rule that raises the alert of this permitted access.
    Alerts,
    Silent(Silence),
}

/// Why a rule permits or denies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground {
    /// Its action, without any condition.
    Action,
    /// Its conditions hold, which permits whatever the action.
    ProperUse,
    /// `ownerOnly`, and the process does not own the object.
    NotOwner,
    /// `readOnly`, and the access changes the object.
    Change,
    /// `allowedArgs` does not list this argument.
    Argument(Vec<u8>),
    /// `pts: false`, and there is a terminal.
    Terminal,
}

/// Why a rule whose object covers the access has no say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// `fromSource` names other programs.
    OtherSource,
    /// It has a `fromSource`, and the acting program has no name or is not known.
    UnknownSource,
    /// A directory without `recursive`, above the one that holds the object.
    NotRecursive,
    /// `pts: false`, and there is no terminal.
    NoTerminal,
    /// An `Allow` with `allowedArgs` that does not list this argument.
    Argument(Vec<u8>),
    /// An `Audit` rule whose conditions hold.
    ProperUse,
    /// An `Audit` rule, and the access is denied.
    Denied,
    /// An `Audit` rule, and this one raises the alert already.
    AfterAudit(RuleId),
    /// An `Audit` rule, and looking at metadata is never audited.
    Metadata,
}

/// Explains the decision about one access.
pub fn explain(set: &RuleSet, access: &Access<'_>) -> Explanation {
    let decision = decide(set, access);
    let class = access.object.class();
    let mut found: Vec<(Precedence, RuleId, &Rule)> = vec![];
    let mut elsewhere = 0;
    for (id, rule) in set.numbered().filter(|(_, rule)| Some(rule.object.class()) == class) {
        if set.covers_object(rule, &access.object) || names_directory_above(rule, access, set) {
            found.push((precedence(id, rule), id, rule));
        } else {
            elsewhere += 1;
        }
    }
    found.sort_by_key(|&(place, ..)| place);
    let inquiry = Inquiry { set, access, decision, heads: heads(&found, set, access) };
    let considered = found
        .iter()
        .map(|&(place, id, rule)| Considered { rule: id, part: inquiry.part(place, id, rule) })
        .collect();
    let allow_listed = class.is_some_and(|class| set.allow_listed(class));
    Explanation { decision, class, allow_listed, considered, elsewhere }
}

struct Inquiry<'i> {
    set: &'i RuleSet,
    access: &'i Access<'i>,
    decision: Decision,
    /// The rule that speaks for each tier.
    heads: Vec<(Tier, RuleId)>,
}

fn heads(
    found: &[(Precedence, RuleId, &Rule)],
    set: &RuleSet,
    access: &Access<'_>,
) -> Vec<(Tier, RuleId)> {
    let speaks = |rule: &Rule| set.concerns(rule, access) && rule.verdict(access).is_some();
    let head_of = |tier| {
        let head = found.iter().find(|(_, _, rule)| rule.tier == tier && speaks(rule))?;
        Some((tier, head.1))
    };
    [Tier::Cluster, Tier::Namespaced].into_iter().filter_map(head_of).collect()
}

impl Inquiry<'_> {
    fn part(&self, place: Precedence, id: RuleId, rule: &Rule) -> Part {
        let Self { set, access, decision, .. } = *self;
        if !set.covers_object(rule, &access.object) {
            return Part::Silent(Silence::NotRecursive);
        }
        if !set.concerns(rule, access) {
            return Part::Silent(match access.subject {
                Some(_) => Silence::OtherSource,
                None => Silence::UnknownSource,
            });
        }
        if rule.action == Action::Audit {
            return audit_part(access, decision, id, rule);
        }
        let Some(permits) = rule.verdict(access) else {
            return Part::Silent(match unlisted_arguments(rule, access).next() {
                Some(argument) if rule.action == Action::Allow => {
                    Silence::Argument(argument.to_vec())
                }
                _ => Silence::NoTerminal,
            });
        };
        let ground = ground(rule, access, permits);
        match self.before(place, id, rule) {
            Some((to, rank)) => Part::Yields { permits, ground, to, rank },
            None => Part::Decides { permits, ground },
        }
    }

    /// What comes before a rule that has a say: the head of its tier, or that of the other tier.
    fn before(&self, place: Precedence, id: RuleId, rule: &Rule) -> Option<(RuleId, Rank)> {
        let (_, head) = *self.heads.iter().find(|(tier, _)| *tier == rule.tier)?;
        if head != id {
            let winner = precedence(head, &self.set.rules[head as usize]);
            return Some((head, winner.rank(place)));
        }
        let Some(DecidedBy::Rule(decider)) =
            self.decision.by.filter(|by| *by != DecidedBy::Rule(id))
        else {
            return None;
        };
        let rank = match rule.tier {
            Tier::Cluster => Rank::NamespacedTier,
            Tier::Namespaced => Rank::ClusterTier,
        };
        Some((decider, rank))
    }
}

fn audit_part(access: &Access<'_>, decision: Decision, id: RuleId, rule: &Rule) -> Part {
    if decision.alert == Some(DecidedBy::Rule(id)) {
        return Part::Alerts;
    }
    Part::Silent(if !decision.permitted {
        Silence::Denied
    } else if rule.terminal_only && !access.terminal {
        Silence::NoTerminal
    } else if !rule.audits(access) {
        Silence::ProperUse
    } else {
        match decision.alert {
            Some(DecidedBy::Rule(other)) => Silence::AfterAudit(other),
            _ => Silence::Metadata,
        }
    })
}

fn ground(rule: &Rule, access: &Access<'_>, permits: bool) -> Ground {
    let modified = rule.has_conditions() || rule.terminal_only;
    if permits {
        return if modified { Ground::ProperUse } else { Ground::Action };
    }
    if rule.owner_only && !access.owner {
        Ground::NotOwner
    } else if rule.read_only && access.object.is_change() {
        Ground::Change
    } else if let Some(argument) = unlisted_arguments(rule, access).next() {
        Ground::Argument(argument.to_vec())
    } else if rule.terminal_only {
        Ground::Terminal
    } else {
        Ground::Action
    }
}

/// The arguments that `allowedArgs` does not list.
pub(crate) fn unlisted_arguments<'a>(
    rule: &Rule,
    access: &Access<'a>,
) -> impl Iterator<Item = &'a [u8]> {
    let args = match access.object {
        AccessObject::Execute { args, .. } => args,
        _ => &[],
    };
    let allowed = rule.allowed_args.as_ref();
    args.iter().copied().filter(move |arg| {
        allowed.is_some_and(|allowed: &BTreeSet<String>| {
            !allowed.iter().any(|allowed| allowed.as_bytes() == *arg)
        })
    })
}

/// The rule would cover the access, were it `recursive`.
fn names_directory_above(rule: &Rule, access: &Access<'_>, set: &RuleSet) -> bool {
    let (paths, path) = match (&rule.object, &access.object) {
        (Object::Process(paths), AccessObject::Execute { path: Some(path), .. })
        | (Object::File(paths), AccessObject::File { path, .. }) => (paths, *path),
        _ => return false,
    };
    std::iter::once(&paths.named).chain(&paths.linked).any(|object| match object {
        PathObject::Directory { dir, recursive: false } => {
            let deep = PathObject::Directory { dir: dir.clone(), recursive: true };
            matches_virtual(&deep, path, &set.multicall)
        }
        _ => false,
    })
}

impl AccessObject<'_> {
    /// Only a look at metadata, which neither audits nor postures concern.
    pub fn is_metadata(&self) -> bool {
        matches!(self, Self::File { operation: FileOperation::Metadata, .. })
    }
}
