//! Policies that are objects of the API server: taken over as they come, kept while it is away, and told of.

use std::collections::BTreeSet;

use cluster::{
    PolicyObject, Told,
    summary::{NodeSummary, NotExpressed, PolicyState, PolicySummary},
};
use enforce::Placement;
use policy::{Kind, Policy, PolicyId};
use ruleset::account;
use tracing::{error, info, warn};

use super::{Index, Keeper, WorkloadState, overview::ENFORCER, with_default_namespace};
use crate::{store::Store, submissions::lines};

/// A policy as the API server has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Object {
    /// That was seen last.
    generation: i64,
    /// Whose rules hold, if any do.
    in_force: Option<i64>,
    /// Why that generation does not hold.
    refused: Option<String>,
    /// When what holds of it last changed, in this run.
    changed: Option<String>,
}

impl Index {
    /// From here on policies of the API server are kept there.
    pub(crate) fn keep_objects_in(&mut self, store: Store) {
        self.cluster_store = Some(store);
    }

    /// What a stored text says of the object that it was.
    pub(crate) fn remember_object(&mut self, id: &PolicyId, text: &str) {
        let generation = PolicyObject::generation_of(text);
        let object = Object { generation, in_force: Some(generation), ..Object::default() };
        self.objects.insert(with_default_namespace(id.clone()), object);
    }

    pub(super) fn learn_policies(&mut self, kind: Kind, told: Told<PolicyObject>) {
        match told {
            Told::One(object) => self.take(&object),
            Told::Gone(object) => self.lose(&object.id),
            Told::All(objects) => {
                let there: BTreeSet<PolicyId> =
                    objects.iter().map(|object| object.id.clone()).collect();
                for object in &objects {
                    self.take(object);
                }
                let known = self.objects.keys().filter(|id| id.kind == kind);
                let gone: Vec<_> = known.filter(|id| !there.contains(id)).cloned().collect();
                for id in &gone {
                    self.lose(id);
                }
            }
        }
    }

    /// Puts an object in force. What it was before stays if it cannot be.
    fn take(&mut self, object: &PolicyObject) {
        let refused = self.put_in_force(object);
        let known = self.objects.entry(object.id.clone()).or_default();
        if let Some(reason) = &refused
            && (known.generation, known.refused.as_ref()) != (object.generation, Some(reason))
        {
            warn!("{} {} is refused: {reason}", object.id.kind, object.id.name);
        }
        known.generation = object.generation;
        if refused.is_none() {
            known.in_force = Some(object.generation);
        }
        known.refused = refused;
    }

    /// Why it is not in force, if so.
    fn put_in_force(&mut self, object: &PolicyObject) -> Option<String> {
        let parsed = object.parse();
        let errors: Vec<_> =
            parsed.diagnostics.into_iter().filter(policy::Diagnostic::is_error).collect();
        let Some(policy) = parsed.policies.into_iter().next().filter(|_| errors.is_empty()) else {
            return Some(lines(&errors));
        };
        let is_kept =
            self.policies.get(&object.id).is_some_and(|held| held.keeper == Keeper::Cluster);
        if is_kept && self.is_held(&object.id, &policy) {
            return None;
        }
        match self.apply(policy, &object.text, Keeper::Cluster) {
            Ok(notes) => {
                info!("{} {} is in force", object.id.kind, object.id.name);
                for note in notes {
                    warn!("{} {}: {note}", object.id.kind, object.id.name);
                }
                self.objects.entry(object.id.clone()).or_default().changed = Some(now());
                None
            }
            Err(refusal) => Some(refusal.to_string()),
        }
    }

    /// The API server has it no more.
    fn lose(&mut self, id: &PolicyId) {
        let is_kept = self.policies.get(id).is_some_and(|held| held.keeper == Keeper::Cluster);
        if is_kept {
            match self.delete(id, &Keeper::Cluster) {
                Ok(_) => info!("{} {} is no longer in force", id.kind, id.name),
                Err(refusal) => return error!("{refusal}"),
            }
        }
        self.objects.remove(id);
    }

    /// What the agent says of its node.
    pub(crate) fn summary(&self) -> NodeSummary {
        let mut summary = NodeSummary {
            agent: telemetry::VERSION.to_owned(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            enforcer: self.backend.name().to_owned(),
            problem: self.backend.idle_because().map(str::to_owned),
            ..NodeSummary::default()
        };
        for governed in self.workloads.values() {
            if governed.placement == Placement::Host {
                continue;
            }
            match self.state(governed) {
                WorkloadState::Governed => summary.governed += 1,
                WorkloadState::Unrestricted => summary.unrestricted += 1,
                WorkloadState::Unprotected => summary.unprotected += 1,
            }
        }
        let held = self.policies.values().map(|held| self.summary_of(&held.policy));
        let refused = self.objects.iter().filter(|(id, _)| !self.policies.contains_key(id));
        let refused = refused.map(|(id, object)| summary_of_refused(id, object));
        summary.policies = held.chain(refused).collect();
        summary.bound();
        summary
    }

    fn summary_of(&self, policy: &Policy) -> PolicySummary {
        let overview = self.policy(policy);
        let selected = || {
            let workloads = self.workloads.values();
            workloads.filter(|governed| governed.selecting.iter().any(|of| of.id == policy.id))
        };
        let state = match overview.state {
            "Enforced" if is_all_audited(selected()) => PolicyState::AuditOnly,
            "Enforced" => PolicyState::Enforced,
            "Partial" => PolicyState::Partial,
            "NotEnabled" => PolicyState::NotEnabled,
            _ => PolicyState::NotEnforced,
        };
        let rules = account(policy, ENFORCER).into_iter().filter_map(|rule| {
            Some(NotExpressed {
                rule: rule.place.to_string(),
                reason: rule.standing.reason()?.to_string(),
            })
        });
        let mut summary = PolicySummary {
            state,
            reason: overview.notes.join("; "),
            workloads: u32::try_from(selected().count()).unwrap_or(u32::MAX),
            not_expressed: rules.collect(),
            ..unknown(&policy.id)
        };
        if let Some(object) = self.objects.get(&policy.id) {
            tell(object, &mut summary);
        }
        summary
    }
}

fn is_all_audited<'a>(selected: impl Iterator<Item = &'a super::Governed>) -> bool {
    let mut modes = selected.map(|governed| governed.mode).peekable();
    modes.peek().is_some() && modes.all(|mode| mode == cluster::Mode::Audited)
}

fn summary_of_refused(id: &PolicyId, object: &Object) -> PolicySummary {
    let mut summary = unknown(id);
    tell(object, &mut summary);
    summary
}

/// Of a policy of which nothing is in force.
fn unknown(id: &PolicyId) -> PolicySummary {
    PolicySummary {
        kind: id.kind.as_str().to_owned(),
        namespace: id.namespace.clone().unwrap_or_default(),
        name: id.name.clone(),
        generation: 0,
        generation_in_force: None,
        state: PolicyState::Refused,
        reason: String::new(),
        workloads: 0,
        not_expressed: Vec::new(),
        last_change: None,
    }
}

fn tell(object: &Object, summary: &mut PolicySummary) {
    summary.generation = object.generation;
    summary.last_change.clone_from(&object.changed);
    if let Some(reason) = &object.refused {
        summary.state = PolicyState::Refused;
        summary.reason.clone_from(reason);
        summary.generation_in_force = object.in_force;
    }
}

/// In full seconds.
fn now() -> String {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}
