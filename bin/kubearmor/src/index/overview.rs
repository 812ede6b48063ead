//! What is in force, for those who ask.

use std::{collections::BTreeSet, sync::Arc};

use enforce::{Repairs, Usage};
use policy::{Policy, PolicyId};
use ruleset::{EnforcerKind, account};

use super::{Index, is_enabled};

/// The only one that the agent has so far.
const ENFORCER: EnforcerKind = EnforcerKind::Bpf;

/// The index at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overview {
    pub(crate) workloads: Vec<WorkloadOverview>,
    pub(crate) policies: Vec<PolicyOverview>,
    /// What was put right in the kernel.
    pub(crate) repairs: Repairs,
    pub(crate) usage: Usage,
    /// Containers that events can be attributed to, those that ended lately among them.
    pub(crate) identities: usize,
    /// Ended containers whose rules are ready for a restart.
    pub(crate) pasts: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkloadOverview {
    pub(crate) host: bool,
    pub(crate) name: String,
    /// Of the policies that select it.
    pub(crate) policies: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyOverview {
    pub(crate) id: PolicyId,
    /// `Enforced`, `Partial`, `NotEnforced`, or `NotEnabled`.
    pub(crate) state: &'static str,
    /// What is not in force, and why.
    pub(crate) notes: Vec<String>,
}

impl Index {
    pub(crate) fn overview(&self) -> Overview {
        let workloads = self.workloads.values().map(|governed| WorkloadOverview {
            host: governed.placement == enforce::Placement::Host,
            name: governed.workload.name.clone(),
            policies: governed
                .selecting
                .iter()
                .filter(|policy| is_enabled(&self.settings, policy.id.kind))
                .map(|policy| policy.id.name.clone())
                .collect(),
        });
        Overview {
            workloads: workloads.collect(),
            policies: self.policies.values().map(|held| self.policy(&held.policy)).collect(),
            repairs: self.backend.repairs(),
            usage: self.backend.usage(),
            identities: self.identities.len(),
            pasts: self.pasts.len(),
        }
    }

    fn policy(&self, policy: &Policy) -> PolicyOverview {
        let notes = self.not_in_force(&policy.id);
        let state = if !is_enabled(&self.settings, policy.id.kind) {
            "NotEnabled"
        } else if notes.is_empty() {
            "Enforced"
        } else if self.backend.idle_because().is_some() || is_wholly_unenforced(policy) {
            "NotEnforced"
        } else {
            "Partial"
        };
        PolicyOverview { id: policy.id.clone(), state, notes }
    }

    /// What of a policy is not in force, one line each.
    pub(super) fn not_in_force(&self, id: &PolicyId) -> Vec<String> {
        let Some(held) = self.policies.get(id) else { return Vec::new() };
        let mut notes: BTreeSet<String> = account(&held.policy, ENFORCER)
            .into_iter()
            .filter_map(|rule| {
                Some(format!("not enforced: {}: {}", rule.place, rule.standing.reason()?))
            })
            .collect();
        if let Some(reason) = self.backend.idle_because() {
            notes.insert(format!("not enforced: {reason}"));
        }
        for governed in self.workloads.values() {
            let Some(rules) = &governed.rules else { continue };
            for missing in &governed.not_expressed {
                let rule =
                    usize::try_from(missing.rule).ok().and_then(|rule| rules.rules.get(rule));
                let Some(rule) = rule else { continue };
                let origin = &rule.origin;
                if (origin.kind, &origin.policy, &origin.namespace)
                    == (id.kind, &id.name, &id.namespace)
                {
                    notes.insert(format!("not enforced: {}: {}", origin.place, missing.reason));
                }
            }
            if let Some(problem) = &governed.problem
                && governed.selecting.iter().any(|policy| Arc::ptr_eq(policy, &held.policy))
            {
                notes.insert(format!("not enforced in {}: {problem}", governed.workload.name));
            }
        }
        notes.into_iter().collect()
    }
}

fn is_wholly_unenforced(policy: &Policy) -> bool {
    account(policy, ENFORCER).iter().all(|rule| !rule.holds_in_part)
}
