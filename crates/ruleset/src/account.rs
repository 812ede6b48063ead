//! What becomes of each rule of a policy under each enforcer, so that none is dropped in silence.

use std::fmt;

use policy::{Action, Kind, PathObject, PathRule, Place, Policy, Protocol};

/// What may hold rules on a node; each can express what its mechanism in the kernel knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EnforcerKind {
    Bpf,
    AppArmor,
    Selinux,
}

impl fmt::Display for EnforcerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bpf => "BPF-LSM",
            Self::AppArmor => "AppArmor",
            Self::Selinux => "SELinux",
        })
    }
}

/// Worse comes later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    Enforced,
    /// The rule refuses nothing by its own words.
    AuditOnly,
    /// With the reason.
    NotExpressible(String),
}

/// What becomes of the rule at one place. A comma list is one rule; its worst part counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleAccount {
    pub place: Place,
    pub standing: Standing,
}

/// One account for each place where the policy has a rule, in the order of its sections.
pub fn account(policy: &Policy, enforcer: EnforcerKind) -> Vec<RuleAccount> {
    let pending = policy.not_enforced_yet();
    let parts = parts(policy, enforcer);
    let of_place = |place: Place| {
        let pending = pending.iter().find(|(pending, _)| *pending == place);
        let pending = pending.map(|(_, reason)| Standing::NotExpressible(reason.clone()));
        let here = parts.iter().filter(|(part, _)| **part == place);
        let worst = here.map(|(_, standing)| standing.clone()).chain(pending).max();
        RuleAccount { standing: worst.unwrap_or(Standing::Enforced), place }
    };
    policy.places().into_iter().map(of_place).collect()
}

fn parts(policy: &Policy, enforcer: EnforcerKind) -> Vec<(&Place, Standing)> {
    let spec = &policy.spec;
    let of = |action: Action, obstacle: Option<&str>| match (obstacle, action) {
        (Some(reason), _) => Standing::NotExpressible(reason.to_owned()),
        (None, Action::Audit) => Standing::AuditOnly,
        (None, Action::Allow | Action::Block) => Standing::Enforced,
    };
    let on_containers = enforcer == EnforcerKind::Selinux && policy.id.kind != Kind::Host;
    // Audits are the monitor's business, whoever enforces.
    let unless_audit = |action: Action, obstacle: Option<&'static str>| match action {
        Action::Audit => None,
        _ if on_containers => Some("SELinux has rules for the host only"),
        _ => obstacle,
    };
    let mut parts = Vec::new();
    for rule in spec.process.iter().chain(&spec.file) {
        let action = rule.attributes.action;
        let obstacle = unless_audit(action, path_obstacle(rule, enforcer));
        parts.push((&rule.place, of(action, obstacle)));
    }
    for rule in &spec.protocols {
        let action = rule.attributes.action;
        let obstacle =
            protocol_obstacle(rule.protocol, rule.terminal_only, &rule.sources, enforcer);
        parts.push((&rule.place, of(action, unless_audit(action, obstacle))));
    }
    for rule in &spec.dns {
        let action = rule.attributes.action;
        let obstacle = unless_bpf(enforcer, "only BPF-LSM reads DNS queries");
        parts.push((&rule.place, of(action, unless_audit(action, obstacle))));
    }
    for rule in &spec.capabilities {
        let action = rule.attributes.action;
        let selinux = enforcer == EnforcerKind::Selinux;
        let obstacle = selinux.then_some("the SELinux rules made of policies have no capabilities");
        parts.push((&rule.place, of(action, unless_audit(action, obstacle))));
    }
    parts.extend(spec.syscalls.iter().map(|rule| (&rule.place, Standing::AuditOnly)));
    for rule in &spec.presets {
        let obstacle = unless_bpf(enforcer, "presets need BPF-LSM");
        parts.push((&rule.place, of(rule.attributes.action, obstacle)));
    }
    // Devices and the firewall are no matter of a security module.
    parts.extend(spec.devices.iter().map(|rule| (&rule.place, of(rule.attributes.action, None))));
    parts.extend(spec.firewall.iter().map(|rule| (&rule.place, of(rule.attributes.action, None))));
    parts
}

fn unless_bpf(enforcer: EnforcerKind, reason: &'static str) -> Option<&'static str> {
    (enforcer != EnforcerKind::Bpf).then_some(reason)
}

fn path_obstacle(rule: &PathRule, enforcer: EnforcerKind) -> Option<&'static str> {
    let pattern = matches!(rule.object, PathObject::Pattern(_) | PathObject::ExecName(_));
    match enforcer {
        EnforcerKind::Bpf => None,
        _ if rule.allowed_args.is_some() => Some("`allowedArgs` needs BPF-LSM"),
        _ if rule.terminal_only => Some("`pts` needs BPF-LSM"),
        EnforcerKind::Selinux if pattern => {
            Some("SELinux labels paths and directories, no patterns")
        }
        EnforcerKind::Selinux if rule.owner_only => Some("SELinux does not compare owners"),
        EnforcerKind::AppArmor | EnforcerKind::Selinux => None,
    }
}

fn protocol_obstacle(
    protocol: Protocol,
    terminal_only: bool,
    sources: &[String],
    enforcer: EnforcerKind,
) -> Option<&'static str> {
    let by_number = matches!(protocol, Protocol::Icmp | Protocol::Icmpv6 | Protocol::Sctp);
    match enforcer {
        EnforcerKind::Bpf => None,
        _ if terminal_only => Some("`pts` needs BPF-LSM"),
        EnforcerKind::AppArmor if by_number => {
            Some("AppArmor tells sockets apart by family and type, not by protocol")
        }
        EnforcerKind::Selinux if sources.is_empty() => {
            Some("SELinux has network rules with `fromSource` only")
        }
        EnforcerKind::AppArmor | EnforcerKind::Selinux => None,
    }
}
