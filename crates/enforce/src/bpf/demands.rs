//! Which programs rules ask for beyond those that are always attached, and what this kernel leaves of such rules.

use policy::{
    Action, Preset,
    syscall::{self, Architecture},
};
use ruleset::{Class, Object, Rule, RuleSet, SyscallObject};
use sensor::{CallNumbers, Demand};

use crate::NotExpressed;

pub(super) fn demands(rules: &RuleSet) -> Vec<Demand> {
    let asks = |demand: &Demand| rules.rules.iter().any(|rule| demand_of(rule) == Some(*demand));
    Demand::ALL.into_iter().filter(asks).collect()
}

/// Whether rules may deny somebody a file.
pub(super) fn forbid_files(rules: &RuleSet) -> bool {
    rules
        .rules
        .iter()
        .any(|rule| rule.object.class() == Class::File && rule.action != Action::Audit)
}

/// How system calls are numbered here, by the numbers of their names.
pub(super) fn call_numbers() -> CallNumbers {
    let Some(architecture) = Architecture::native() else { return CallNumbers::default() };
    let by_name = |(number, name): (u16, &str)| Some((number, syscall::index(name)?));
    let native =
        syscall::names().filter_map(|name| Some((syscall::number(name, architecture)?, name)));
    CallNumbers {
        native: native.filter_map(by_name).collect(),
        compat: syscall::compat_numbers(architecture).into_iter().filter_map(by_name).collect(),
    }
}

/// The rules that hold only in part or not at all here, with the reason.
pub(super) fn not_expressed(
    rules: &RuleSet,
    missing: impl Fn(Demand) -> Option<String>,
) -> Vec<NotExpressed> {
    let reason = |rule: &Rule| {
        let demand = demand_of(rule)?;
        let refused = missing(demand).map(|reason| format!("this kernel refuses {reason}"));
        refused.or_else(|| unseen_paths(rule))
    };
    rules
        .numbered()
        .filter_map(|(id, rule)| Some(NotExpressed { rule: id, reason: reason(rule)? }))
        .collect()
}

fn demand_of(rule: &Rule) -> Option<Demand> {
    match &rule.object {
        Object::Syscall(SyscallObject { path: Some(_), .. }) => Some(Demand::SyscallPaths),
        Object::Preset(preset) => Some(match preset {
            Preset::AnonymousMapExec => Demand::AnonymousMapExec,
            Preset::FilelessExec => Demand::FilelessExec,
            Preset::ProtectEnv => Demand::ProtectEnv,
            Preset::Exec => Demand::ExecPreset,
            Preset::ProtectProc => Demand::ProtectProc,
        }),
        object => match object.class() {
            Class::Dns => Some(Demand::Dns),
            Class::Syscalls => Some(Demand::Syscalls),
            Class::Process if forbids(rule) => Some(Demand::Programs),
            _ => None,
        },
    }
}

/// Whether a rule by itself may deny somebody something: also one that allows does, under its own conditions.
fn forbids(rule: &Rule) -> bool {
    match rule.action {
        Action::Block => true,
        Action::Allow => rule.owner_only || rule.terminal_only,
        Action::Audit => false,
    }
}

fn unseen_paths(rule: &Rule) -> Option<String> {
    match &rule.object {
        Object::Syscall(SyscallObject { calls, path: Some(_), .. }) => ruleset::unseen_paths(calls),
        _ => None,
    }
}
