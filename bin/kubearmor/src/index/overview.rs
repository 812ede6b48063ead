//! What is in force, for those who ask.

use std::{collections::BTreeSet, sync::Arc};

use cluster::Mode;
use enforce::{Repairs, bpf::Use};
use policy::{Policy, PolicyId};
use ruleset::{EnforcerKind, account};
use sensor::{Counters, Held};

use super::{Governed, Index, is_enabled};

/// The only one that the agent has so far.
pub(super) const ENFORCER: EnforcerKind = EnforcerKind::Bpf;

/// How far a policy is in force.
pub(crate) const POLICY_STATES: [&str; 4] = ["Enforced", "Partial", "NotEnforced", "NotEnabled"];

/// The index at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overview {
    pub(crate) workloads: Vec<WorkloadOverview>,
    pub(crate) policies: Vec<PolicyOverview>,
    /// What the programs have counted, of all workloads together.
    pub(crate) counters: Counters,
    /// What was put right in the kernel.
    pub(crate) repairs: Repairs,
    pub(crate) in_use: Use,
    /// As alerts name it.
    pub(crate) enforcer: &'static str,
    /// Files of the policy directory that are not in force as they are, or not at all.
    pub(crate) faulty_files: usize,
    /// Containers that events can be attributed to, those that ended lately among them.
    pub(crate) identities: usize,
    /// Ended containers whose rules are ready for a restart.
    pub(crate) pasts: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkloadOverview {
    pub(crate) host: bool,
    pub(crate) name: String,
    pub(crate) state: WorkloadState,
    /// Of the policies that select it.
    pub(crate) policies: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WorkloadState {
    /// Rules are in force.
    Governed,
    /// No rule concerns it.
    Unrestricted,
    /// The rules that should hold could not be put in force.
    Unprotected,
}

impl WorkloadState {
    pub(crate) const ALL: [Self; 3] = [Self::Governed, Self::Unrestricted, Self::Unprotected];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Governed => "governed",
            Self::Unrestricted => "unrestricted",
            Self::Unprotected => "unprotected",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyOverview {
    pub(crate) id: PolicyId,
    /// One of [`POLICY_STATES`].
    pub(crate) state: &'static str,
    /// What is not in force, and why.
    pub(crate) notes: Vec<String>,
}

impl Index {
    pub(crate) fn overview(&self) -> Overview {
        let workloads = self.workloads.values().map(|governed| WorkloadOverview {
            host: governed.placement == enforce::Placement::Host,
            name: governed.workload.name.clone(),
            state: self.state(governed),
            policies: governed
                .selecting
                .iter()
                .filter(|policy| is_enabled(&self.settings, policy.id.kind))
                .filter(|_| governed.mode != Mode::Disabled)
                .map(|policy| policy.id.name.clone())
                .collect(),
        });
        Overview {
            workloads: workloads.collect(),
            policies: self.policies.values().map(|held| self.policy(&held.policy)).collect(),
            counters: self.backend.counters(),
            repairs: self.backend.repairs(),
            in_use: self.backend.in_use(),
            enforcer: self.backend.name(),
            faulty_files: self.faulty_files,
            identities: self.identities.len(),
            pasts: self.pasts.len(),
        }
    }

    /// What the kernel holds for the workloads, counted there entry by entry.
    pub(crate) fn held(&self) -> Held {
        self.backend.held()
    }

    pub(super) fn state(&self, governed: &Governed) -> WorkloadState {
        let has_rules = governed.rules.as_ref().is_some_and(|rules| !rules.rules.is_empty());
        if governed.problem.is_some() || (has_rules && self.backend.idle_because().is_some()) {
            WorkloadState::Unprotected
        } else if has_rules {
            WorkloadState::Governed
        } else {
            WorkloadState::Unrestricted
        }
    }

    pub(super) fn policy(&self, policy: &Policy) -> PolicyOverview {
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
