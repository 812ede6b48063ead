//! What becomes of each rule of a policy under each enforcer, so that none is dropped in silence.

use std::fmt;

use policy::{Action, Kind, PathObject, PathRule, Place, Policy, Protocol, SyscallRule};

use crate::calls::{shows_path, unseen_paths};

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
    /// Nothing enforces such rules yet, for a reason that does not lie in the mechanism.
    NotYet(&'static str),
    /// The mechanism cannot hold it, for this reason.
    NotExpressible(String),
}

impl Standing {
    /// Why the rule does not hold, if it does not.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Enforced | Self::AuditOnly => None,
            Self::NotYet(reason) => Some(reason),
            Self::NotExpressible(reason) => Some(reason),
        }
    }
}

/// What becomes of the rule at one place. A list in it makes parts; the worst one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleAccount {
    pub place: Place,
    pub standing: Standing,
    /// Some part of the rule holds, though the standing may say that another does not.
    pub holds_in_part: bool,
}

/// One account for each place where the policy has a rule, in the order of its sections.
pub fn account(policy: &Policy, enforcer: EnforcerKind) -> Vec<RuleAccount> {
    let parts = parts(policy, enforcer);
    let of_place = |place: Place| {
        let here = || parts.iter().filter(|(part, _)| *part == place).map(|(_, standing)| standing);
        RuleAccount {
            standing: here().max().cloned().unwrap_or(Standing::Enforced),
            holds_in_part: here().any(|standing| standing.reason().is_none()),
            place,
        }
    };
    policy.places().into_iter().map(of_place).collect()
}

fn parts(policy: &Policy, enforcer: EnforcerKind) -> Vec<(Place, Standing)> {
    let spec = &policy.spec;
    let on_containers = enforcer == EnforcerKind::Selinux && policy.id.kind != Kind::Host;
    // Audits are the monitor's business, whoever enforces.
    let standing = |action: Action, obstacle: Option<&str>| match (action, obstacle) {
        (Action::Audit, _) => Standing::AuditOnly,
        _ if on_containers => inexpressible("SELinux has rules for the host only"),
        (Action::Allow | Action::Block, Some(reason)) => inexpressible(reason),
        (Action::Allow | Action::Block, None) => Standing::Enforced,
    };
    let mut parts = Vec::new();
    for rule in spec.process.iter().chain(&spec.file) {
        let obstacle = path_obstacle(rule, enforcer);
        parts.push((rule.place.clone(), standing(rule.attributes.action, obstacle)));
    }
    for rule in &spec.protocols {
        let obstacle =
            protocol_obstacle(rule.protocol, rule.terminal_only, &rule.sources, enforcer);
        parts.push((rule.place.clone(), standing(rule.attributes.action, obstacle)));
    }
    for rule in &spec.dns {
        let obstacle = unless_bpf(enforcer, "only BPF-LSM reads DNS queries");
        parts.push((rule.place.clone(), standing(rule.attributes.action, obstacle)));
    }
    for rule in &spec.capabilities {
        let selinux = enforcer == EnforcerKind::Selinux;
        let obstacle = selinux.then_some("the SELinux rules made of policies have no capabilities");
        parts.push((rule.place.clone(), standing(rule.attributes.action, obstacle)));
    }
    for rule in &spec.syscalls {
        parts.extend(watched(rule).into_iter().map(|standing| (rule.place.clone(), standing)));
    }
    for rule in &spec.presets {
        // What they audit takes the same programs as what they refuse.
        let standing = match unless_bpf(enforcer, "presets need BPF-LSM") {
            Some(reason) => inexpressible(reason),
            None => standing(rule.attributes.action, None),
        };
        parts.push((rule.place.clone(), standing));
    }
    if let Some(place) = policy.native_place() {
        let apparmor = enforcer == EnforcerKind::AppArmor;
        let other = || inexpressible("only AppArmor enforces its native rules");
        parts.push((place, if apparmor { Standing::Enforced } else { other() }));
    }
    // Devices and the firewall are no matter of a security module.
    let pending = policy.not_enforced_yet().into_iter();
    parts.extend(pending.map(|(place, reason)| (place, Standing::NotYet(reason))));
    parts
}

fn inexpressible(reason: &str) -> Standing {
    Standing::NotExpressible(reason.to_owned())
}

/// One part for the calls that are audited, one for those that are not.
fn watched(rule: &SyscallRule) -> Vec<Standing> {
    if rule.path.is_none() {
        return vec![Standing::AuditOnly];
    }
    let seen = rule.syscalls.iter().any(|call| shows_path(call));
    let unseen = unseen_paths(&rule.syscalls).map(Standing::NotExpressible);
    seen.then_some(Standing::AuditOnly).into_iter().chain(unseen).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(kind: &str, spec: &str, enforcer: EnforcerKind) -> Vec<RuleAccount> {
        let text = format!(
            "apiVersion: security.kubearmor.com/v1\nkind: {kind}\nmetadata: {{name: p}}\nspec: {{{spec}}}\n"
        );
        let parsed = policy::parse(&text, "p.yaml");
        assert_eq!(parsed.policies.len(), 1, "{:?}", parsed.diagnostics);
        account(&parsed.policies[0], enforcer)
    }

    fn standing(kind: &str, spec: &str, enforcer: EnforcerKind) -> Standing {
        accounts(kind, spec, enforcer).remove(0).standing
    }

    #[test]
    fn calls_that_show_no_path_are_named() {
        let of = |calls: &str| {
            let spec = format!("syscalls: {{matchPaths: [{{syscall: [{calls}], path: /etc/}}]}}");
            accounts("KubeArmorPolicy", &spec, EnforcerKind::Bpf).remove(0)
        };
        assert_eq!(of("open, unlink").standing, Standing::AuditOnly);
        let unseen = of("ioctl");
        assert!(unseen.standing.reason().unwrap().contains("path of ioctl;"), "{unseen:?}");
        assert!(!unseen.holds_in_part);
        let mixed = of("read, open, ioctl");
        assert!(mixed.standing.reason().unwrap().contains("path of ioctl, read;"), "{mixed:?}");
        assert!(mixed.holds_in_part);
        let anywhere = "syscalls: {matchSyscalls: [{syscall: [ioctl]}]}";
        assert_eq!(standing("KubeArmorPolicy", anywhere, EnforcerKind::Bpf), Standing::AuditOnly);
    }

    #[test]
    fn native_text_is_for_apparmor() {
        let of = |enforcer| standing("KubeArmorPolicy", "apparmor: 'deny /srv/** w,'", enforcer);
        assert_eq!(of(EnforcerKind::AppArmor), Standing::Enforced);
        for other in [EnforcerKind::Bpf, EnforcerKind::Selinux] {
            assert!(matches!(of(other), Standing::NotExpressible(_)), "{other}");
        }
    }

    #[test]
    fn what_nothing_enforces_yet_is_no_matter_of_the_mechanism() {
        let device = "nodeSelector: {}, device: {matchDevice: [{class: HID}]}";
        let firewall = "nodeSelector: {}, ingress: [{ports: [{port: ssh}]}]";
        for enforcer in [EnforcerKind::Bpf, EnforcerKind::AppArmor, EnforcerKind::Selinux] {
            for (kind, spec) in
                [("KubeArmorHostPolicy", device), ("KubeArmorNetworkPolicy", firewall)]
            {
                let found = standing(kind, spec, enforcer);
                assert!(matches!(found, Standing::NotYet(_)), "{kind} under {enforcer}: {found:?}");
            }
        }
    }
}
