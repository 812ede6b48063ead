//! What all nodes say of one policy, counted.

use std::collections::BTreeMap;

use cluster::summary::{PolicyState, PolicySummary};
use k8s_openapi::jiff::Timestamp;
use policy::PolicyId;

use super::{NodeCounts, NodeState, NotExpressible, Reports, reports::Node};

/// Nodes that are named with what they say.
const NODES: usize = 20;
/// Rules that are told one by one.
const RULES: usize = 32;
/// Nodes that are named with such a rule.
const NODES_OF_RULE: usize = 5;
/// Nodes that are waited for, by name.
const WAITING: usize = 4;

/// Counts of one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub counts: NodeCounts,
    pub workloads: u64,
    pub(super) nodes: Vec<NodeState>,
    pub(super) not_expressible: Vec<NotExpressible>,
    /// Nodes that have not told of this generation, the first few.
    pub(super) waiting: Vec<String>,
    /// The latest on any node that it concerns.
    pub(super) last_change: Option<Timestamp>,
}

/// Rule, enforcer and reason, with the nodes where it is so.
type Rules<'a> = BTreeMap<(&'a str, &'a str, &'a str), Vec<&'a str>>;

impl Tally {
    /// What `reports` have about a generation of a policy.
    pub fn new(id: &PolicyId, generation: i64, reports: &Reports) -> Self {
        let mut tally = Self::default();
        let mut rules = Rules::new();
        let told = reports.of(id);
        for (name, node) in &reports.nodes {
            match told.and_then(|told| told.get(name)) {
                Some(told) if told.generation == generation => {
                    tally.add(name, told);
                    for missing in &told.not_expressed {
                        let rule = (&*missing.rule, &*node.enforcer, &*missing.reason);
                        rules.entry(rule).or_default().push(name);
                    }
                }
                earlier => tally.wait(name, node, earlier),
            }
        }
        tally.not_expressible = rules.into_iter().take(RULES).map(not_expressible).collect();
        tally
    }

    fn add(&mut self, name: &str, told: &PolicySummary) {
        let counts = &mut self.counts;
        self.workloads += u64::from(told.workloads);
        // Where it is refused it may select whatever it likes.
        if told.workloads == 0 && told.state != PolicyState::Refused {
            counts.idle += 1;
            return;
        }
        let count = match told.state {
            PolicyState::Enforced => &mut counts.enforced,
            PolicyState::Partial => &mut counts.partial,
            PolicyState::AuditOnly => &mut counts.audit_only,
            PolicyState::NotEnforced => &mut counts.not_enforced,
            PolicyState::NotEnabled => &mut counts.not_enabled,
            PolicyState::Refused => &mut counts.refused,
        };
        *count += 1;
        let changed = told.last_change.as_ref().and_then(|time| time.parse().ok());
        self.last_change = self.last_change.max(changed);
        if told.state != PolicyState::Enforced && self.nodes.len() < NODES {
            self.nodes.push(NodeState {
                name: name.to_owned(),
                state: told.state.as_str().to_owned(),
                message: told.reason.clone(),
                observed_generation: told.generation,
                generation_in_force: told.generation_in_force,
            });
        }
    }

    fn wait(&mut self, name: &str, node: &Node, earlier: Option<&PolicySummary>) {
        if node.omits && earlier.is_none() {
            self.counts.untold += 1;
            return;
        }
        self.counts.pending += 1;
        if self.waiting.len() < WAITING {
            self.waiting.push(name.to_owned());
        }
    }
}

fn not_expressible(
    ((rule, enforcer, reason), nodes): ((&str, &str, &str), Vec<&str>),
) -> NotExpressible {
    NotExpressible {
        rule: rule.to_owned(),
        enforcer: enforcer.to_owned(),
        reason: reason.to_owned(),
        node_count: u32::try_from(nodes.len()).unwrap_or(u32::MAX),
        nodes: nodes.into_iter().take(NODES_OF_RULE).map(str::to_owned).collect(),
    }
}
