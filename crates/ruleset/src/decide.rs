//! The law as a function: what becomes of one access. Written to be read beside the policy reference, not to be fast;
//! every enforcer is tested against it.

use policy::Action;

use crate::{
    Access, AccessObject, Class, DecidedBy, Decision, FileOperation, Object, Posture, Postures,
    Rule, RuleId, RuleSet, Tier, precedence,
};

/// Nothing has a say: permitted in silence.
const UNTOUCHED: Decision = Decision { permitted: true, by: None, alert: None };

/// Decides one access.
pub fn decide(set: &RuleSet, access: &Access<'_>) -> Decision {
    decide_among(set, &concerned(set, access), access)
}

/// As [`decide`], where the rules that concern the access are known: exactly those of [`concerned`], in its order.
pub fn decide_among(set: &RuleSet, concerned: &[RuleId], access: &Access<'_>) -> Decision {
    let Some(class) = access.object.class() else { return UNTOUCHED };
    let concerned: Vec<_> = concerned.iter().map(|&id| (id, &set.rules[id as usize])).collect();
    let decision = match deciding_rule(&concerned, access) {
        Some((id, permitted)) => {
            let by = Some(DecidedBy::Rule(id));
            Decision { permitted, by, alert: if permitted { None } else { by } }
        }
        None if set.allow_listed(class) => by_posture(set.postures.of(class), class),
        None => UNTOUCHED,
    };
    if access.object.is_metadata() {
        return only_explicit_denial(if set.audited { in_silence(decision) } else { decision });
    }
    let decision = Decision { permitted: decision.permitted || set.audited, ..decision };
    match audit_alert(&concerned, access) {
        Some(id) if decision.permitted => Decision { alert: Some(DecidedBy::Rule(id)), ..decision },
        _ => decision,
    }
}

/// The rules whose object and source are those of the access, first in precedence first.
pub fn concerned(set: &RuleSet, access: &Access<'_>) -> Vec<RuleId> {
    let mut concerned: Vec<_> =
        set.numbered().filter(|(_, rule)| set.concerns(rule, access)).collect();
    concerned.sort_by_key(|&(id, rule)| precedence(id, rule));
    concerned.into_iter().map(|(id, _)| id).collect()
}

/// The rule that decides, and whether it permits. A denial by the cluster tier is final; what the cluster tier
/// permits the namespaced tier may still deny.
fn deciding_rule(concerned: &[(RuleId, &Rule)], access: &Access<'_>) -> Option<(RuleId, bool)> {
    let first_of = |tier| {
        concerned
            .iter()
            .filter(|(_, rule)| rule.tier == tier)
            .find_map(|(id, rule)| Some((*id, rule.verdict(access)?)))
    };
    match (first_of(Tier::Cluster), first_of(Tier::Namespaced)) {
        (Some((id, false)), _) => Some((id, false)),
        (cluster, namespaced) => namespaced.or(cluster),
    }
}

fn audit_alert(concerned: &[(RuleId, &Rule)], access: &Access<'_>) -> Option<RuleId> {
    concerned.iter().find(|(_, rule)| rule.audits(access)).map(|(id, _)| *id)
}

fn by_posture(posture: Posture, class: Class) -> Decision {
    let by = Some(DecidedBy::Posture(class));
    match posture {
        Posture::Allow => Decision { permitted: true, by, alert: None },
        Posture::Audit => Decision { permitted: true, by, alert: by },
        Posture::Block => Decision { permitted: false, by, alert: by },
    }
}

fn in_silence(decision: Decision) -> Decision {
    Decision { permitted: true, alert: None, ..decision }
}

fn only_explicit_denial(decision: Decision) -> Decision {
    match decision.by {
        Some(DecidedBy::Rule(_)) => decision,
        _ => UNTOUCHED,
    }
}

impl Rule {
    /// Whether the rule permits an access that concerns it; `None` if it has no say after all.
    pub fn verdict(&self, access: &Access<'_>) -> Option<bool> {
        match self.action {
            Action::Audit => None,
            Action::Block if self.terminal_only && !access.terminal => None,
            Action::Block => Some(self.has_conditions() && self.is_proper_use(access)),
            Action::Allow if !self.arguments_allowed(access) => None,
            Action::Allow => {
                Some(self.is_proper_use(access) && !(self.terminal_only && access.terminal))
            }
        }
    }

    /// Whether an `Audit` rule raises its alert for a permitted access.
    pub fn audits(&self, access: &Access<'_>) -> bool {
        self.action == Action::Audit
            && (access.terminal || !self.terminal_only)
            && !(self.has_conditions() && self.is_proper_use(access))
    }

    /// The rule says how its object may be used, rather than that it may not.
    pub(crate) fn has_conditions(&self) -> bool {
        self.owner_only || self.read_only || self.allowed_args.is_some()
    }

    fn is_proper_use(&self, access: &Access<'_>) -> bool {
        (access.owner || !self.owner_only)
            && (!access.object.is_change() || !self.read_only)
            && self.arguments_allowed(access)
    }

    fn arguments_allowed(&self, access: &Access<'_>) -> bool {
        let (Some(allowed), AccessObject::Execute { args, .. }) =
            (&self.allowed_args, &access.object)
        else {
            return true;
        };
        args.iter().all(|arg| allowed.iter().any(|allowed| allowed.as_bytes() == *arg))
    }
}

impl AccessObject<'_> {
    /// `None` if rules never judge such objects.
    pub fn class(&self) -> Option<Class> {
        match self {
            Self::Execute { .. } => Some(Class::Process),
            Self::File { .. } => Some(Class::File),
            Self::Socket(socket) => socket.is_judged().then_some(Class::Network),
            Self::Dns(_) => Some(Class::Dns),
            Self::Capability(_) => Some(Class::Capabilities),
            Self::Preset(_) => Some(Class::Presets),
            Self::Syscall { .. } => Some(Class::Syscalls),
        }
    }

    pub(crate) fn is_change(&self) -> bool {
        matches!(self, Self::File { operation: FileOperation::Change, .. })
    }
}

impl Object {
    pub fn class(&self) -> Class {
        match self {
            Self::Process(_) => Class::Process,
            Self::File(_) => Class::File,
            Self::Network(_) => Class::Network,
            Self::Dns(_) => Class::Dns,
            Self::Capability(_) => Class::Capabilities,
            Self::Preset(_) => Class::Presets,
            Self::Syscall(_) => Class::Syscalls,
        }
    }
}

impl Postures {
    /// System calls are only ever audited, and presets know no `Allow`: never a matter of posture.
    pub fn of(self, class: Class) -> Posture {
        match class {
            Class::Process => self.process,
            Class::File => self.file,
            Class::Network | Class::Dns => self.network,
            Class::Capabilities => self.capabilities,
            Class::Syscalls | Class::Presets => Posture::Allow,
        }
    }
}

impl RuleSet {
    /// One `Allow` rule, for whatever source, puts its class into allow-list mode.
    pub fn allow_listed(&self, class: Class) -> bool {
        self.rules.iter().any(|rule| rule.action == Action::Allow && rule.object.class() == class)
    }

    /// The rules with their ids.
    pub fn numbered(&self) -> impl Iterator<Item = (RuleId, &Rule)> {
        (0..).zip(&self.rules)
    }
}
