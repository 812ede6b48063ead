//! What agents have told, by policy, so that a change on one node costs no look at all others.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cluster::summary::{NodeSummary, PolicySummary};
use policy::{Kind, PolicyId};

/// The summaries of all nodes.
#[derive(Debug, Default)]
pub struct Reports {
    pub(super) nodes: BTreeMap<String, Node>,
    /// By the node's name.
    by_policy: HashMap<PolicyId, BTreeMap<String, PolicySummary>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) enforcer: String,
    /// It knows more policies than it tells of.
    pub(super) omits: bool,
}

/// Whose status may have to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    All,
    These(BTreeSet<PolicyId>),
}

impl Reports {
    /// Takes over what a node's agent says now.
    pub fn apply(&mut self, name: &str, summary: NodeSummary) -> Touched {
        let NodeSummary { enforcer, omitted, policies, .. } = summary;
        let node = Node { enforcer, omits: omitted > 0 };
        let policies: BTreeMap<PolicyId, PolicySummary> =
            policies.into_iter().filter_map(|told| Some((id(&told)?, told))).collect();
        let mut touched = BTreeSet::new();
        self.by_policy.retain(|id, nodes| {
            if !policies.contains_key(id) && nodes.remove(name).is_some() {
                touched.insert(id.clone());
            }
            !nodes.is_empty()
        });
        for (id, told) in policies {
            let nodes = self.by_policy.entry(id.clone()).or_default();
            if nodes.get(name) != Some(&told) {
                nodes.insert(name.to_owned(), told);
                touched.insert(id);
            }
        }
        // A node that is new, or another one than it was, counts for every policy.
        match self.nodes.insert(name.to_owned(), node) {
            Some(before) if self.nodes.get(name) == Some(&before) => Touched::These(touched),
            _ => Touched::All,
        }
    }

    pub fn remove(&mut self, name: &str) -> Touched {
        self.nodes.remove(name);
        self.by_policy.retain(|_, nodes| {
            nodes.remove(name);
            !nodes.is_empty()
        });
        Touched::All
    }

    /// Forgets the nodes whose names are not among these.
    pub fn keep(&mut self, names: &BTreeSet<String>) -> Touched {
        let gone: Vec<String> =
            self.nodes.keys().filter(|name| !names.contains(*name)).cloned().collect();
        for name in &gone {
            self.remove(name);
        }
        if gone.is_empty() { Touched::These(BTreeSet::new()) } else { Touched::All }
    }

    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn of(&self, id: &PolicyId) -> Option<&BTreeMap<String, PolicySummary>> {
        self.by_policy.get(id)
    }
}

/// `None` for what is no object of the API server.
fn id(told: &PolicySummary) -> Option<PolicyId> {
    let kind = Kind::parse(&told.kind).filter(|_| told.generation > 0)?;
    let namespace = kind.is_namespaced().then(|| told.namespace.clone());
    Some(PolicyId { kind, namespace, name: told.name.clone() })
}
