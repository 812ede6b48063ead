//! Policies and what agents have told of them, at one moment.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cluster::summary::KubeArmorNode;
use k8s_openapi::jiff::Timestamp;
use kube::{ResourceExt as _, api::DynamicObject, runtime::watcher::Event};
use policy::{Kind, PolicyId};
use serde_json::Value;

use crate::{
    admission::Standing,
    metrics::Census,
    status::{PolicyStatus, Reports, Subject, Tally, Touched},
};

/// A policy as the API server has it.
pub(super) struct Object {
    pub(super) id: PolicyId,
    uid: String,
    generation: i64,
    /// `None` where there is none, or one that is not ours.
    status: Option<PolicyStatus>,
    pub(super) whole: Value,
}

impl Object {
    /// `None` for what an API server never sends: an object without a name.
    pub(super) fn read(kind: Kind, object: DynamicObject) -> Option<Self> {
        let id = id(kind, &object)?;
        let status = object.data.get("status").cloned();
        Some(Self {
            id,
            uid: object.uid().unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or_default(),
            status: status.and_then(|status| serde_json::from_value(status).ok()),
            whole: serde_json::to_value(object).ok()?,
        })
    }
}

fn id(kind: Kind, object: &DynamicObject) -> Option<PolicyId> {
    let namespace = object.namespace().filter(|_| kind.is_namespaced());
    Some(PolicyId { kind, namespace, name: object.metadata.name.clone()? })
}

struct Held {
    uid: String,
    subject: Subject,
    status: Option<PolicyStatus>,
}

/// What was heard since a list began.
struct List<T> {
    /// While one is being sent.
    running: Option<BTreeSet<T>>,
    whole: bool,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { running: None, whole: false }
    }
}

#[derive(Default)]
pub(super) struct View {
    policies: BTreeMap<PolicyId, Held>,
    reports: Reports,
    lists: BTreeMap<Kind, List<PolicyId>>,
    nodes: List<String>,
}

impl View {
    /// Whether everything has been listed once: before, too much would be missing to tell anything.
    pub(super) fn is_whole(&self) -> bool {
        let is_whole = |kind| self.lists.get(&kind).is_some_and(|list| list.whole);
        self.nodes.whole && Kind::ALL.into_iter().all(is_whole)
    }

    pub(super) fn ids(&self) -> Vec<PolicyId> {
        self.policies.keys().cloned().collect()
    }

    pub(super) fn uids(&self) -> HashMap<PolicyId, String> {
        self.policies.iter().map(|(id, held)| (id.clone(), held.uid.clone())).collect()
    }

    /// Whether what it says has to be judged.
    pub(super) fn is_news(&self, object: &Object) -> bool {
        self.policies.get(&object.id).is_none_or(|held| {
            (&held.uid, held.subject.generation) != (&object.uid, object.generation)
        })
    }

    pub(super) fn put(&mut self, object: Object, standing: Standing) {
        let Object { id, uid, generation, status, .. } = object;
        let subject = Subject { id: id.clone(), generation, standing };
        self.policies.insert(id, Held { uid, subject, status });
    }

    pub(super) fn put_status(&mut self, object: Object) {
        if let Some(held) = self.policies.get_mut(&object.id) {
            held.status = object.status;
        }
    }

    pub(super) fn remove(&mut self, kind: Kind, object: &DynamicObject) -> Option<PolicyId> {
        let id = id(kind, object)?;
        self.policies.remove(&id);
        Some(id)
    }

    pub(super) fn begin_policies(&mut self, kind: Kind) {
        self.lists.entry(kind).or_default().running = Some(BTreeSet::new());
    }

    pub(super) fn listed_policies(&mut self, kind: Kind, ids: &[PolicyId]) {
        if let Some(running) = &mut self.lists.entry(kind).or_default().running {
            running.extend(ids.iter().cloned());
        }
    }

    /// Forgets what a list that is complete did not have any more.
    pub(super) fn end_policies(&mut self, kind: Kind) -> Vec<PolicyId> {
        let list = self.lists.entry(kind).or_default();
        list.whole = true;
        let there = list.running.take().unwrap_or_default();
        let gone = |id: &PolicyId| id.kind == kind && !there.contains(id);
        let gone: Vec<PolicyId> = self.policies.keys().filter(|id| gone(id)).cloned().collect();
        for id in &gone {
            self.policies.remove(id);
        }
        gone
    }

    /// Takes over what is heard of nodes, and says whom that touches.
    pub(super) fn node(&mut self, event: Event<KubeArmorNode>) -> Vec<PolicyId> {
        let touched = match event {
            Event::Init => {
                self.nodes.running = Some(BTreeSet::new());
                return Vec::new();
            }
            Event::InitApply(node) => {
                if let Some(running) = &mut self.nodes.running {
                    running.insert(node.name_any());
                }
                self.reports.apply(&node.name_any(), node.status.unwrap_or_default())
            }
            Event::Apply(node) => {
                self.reports.apply(&node.name_any(), node.status.unwrap_or_default())
            }
            Event::Delete(node) => self.reports.remove(&node.name_any()),
            Event::InitDone => {
                self.nodes.whole = true;
                self.reports.keep(&self.nodes.running.take().unwrap_or_default())
            }
        };
        match touched {
            Touched::All => self.ids(),
            Touched::These(ids) => {
                ids.into_iter().filter(|id| self.policies.contains_key(id)).collect()
            }
        }
    }

    /// The status that a policy should have, with its `uid`, and the one that it has.
    pub(super) fn wanted(
        &self,
        id: &PolicyId,
    ) -> Option<(&str, PolicyStatus, Option<&PolicyStatus>)> {
        let Held { uid, subject, status } = self.policies.get(id)?;
        let tally = Tally::new(id, subject.generation, &self.reports);
        let wanted = PolicyStatus::new(subject, tally, status.as_ref(), Timestamp::now());
        Some((uid, wanted, status.as_ref()))
    }

    /// The API server has it now.
    pub(super) fn told(&mut self, id: &PolicyId, status: PolicyStatus) {
        if let Some(held) = self.policies.get_mut(id) {
            held.status = Some(status);
        }
    }

    pub(super) fn census(&self) -> Census {
        let mut census = Census { nodes: self.reports.node_count() as u64, ..Census::default() };
        for held in self.policies.values() {
            match &held.subject.standing {
                Standing::Rejected(_) => census.rejected += 1,
                Standing::Accepted { faults } => {
                    census.accepted += 1;
                    census.unjudged += u64::from(!faults.is_empty());
                }
            }
        }
        census
    }
}
