//! What one agent says of its node: an object `KubeArmorNode` for each node, named as the node is.
//!
//! The agent alone writes it, the controller reads all of them and sums up the status of each policy. It has no wishes
//! in it, so its `spec` is empty and all lies in `status`.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Policies of which one object tells at most: API servers take about 1.5 MB.
pub const MOST_POLICIES: usize = 1500;
/// Characters of one reason.
pub const LONGEST_REASON: usize = 300;
/// Rules of one policy that are told one by one.
pub const MOST_RULES: usize = 8;

/// Nothing is wished of a node: its agent reports, and others read.
#[derive(
    CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "security.kubearmor.com",
    version = "v1",
    kind = "KubeArmorNode",
    plural = "kubearmornodes",
    shortname = "kan",
    status = "NodeSummary",
    derive = "PartialEq",
    doc = "What the agent of a node says of the policies there. Agents write it, nobody else.",
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Enforcer", "type": "string", "jsonPath": ".status.enforcer"}"#,
    printcolumn = r#"{"name": "Agent", "type": "string", "jsonPath": ".status.agent"}"#,
    printcolumn = r#"{"name": "Problem", "type": "string", "jsonPath": ".status.problem"}"#
)]
pub struct KubeArmorNodeSpec {}

/// A node as its agent sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSummary {
    /// The agent's version.
    pub agent: String,
    /// The node's kernel.
    pub kernel: String,
    /// What enforces, as alerts name it.
    pub enforcer: String,
    /// Why nothing is enforced on this node, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Containers under rules.
    pub governed: u32,
    /// Containers that no rule concerns.
    pub unrestricted: u32,
    /// Containers whose rules could not be put in force.
    pub unprotected: u32,
    /// Each policy that the agent knows, by kind, namespace and name.
    pub policies: Vec<PolicySummary>,
    /// Policies that are not in the list, because there are too many.
    pub omitted: u32,
}

/// One policy on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicySummary {
    /// Such as `KubeArmorPolicy`.
    pub kind: String,
    /// Empty for kinds without a namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    pub name: String,
    /// The generation of the object that this is about; 0 for a policy that is no object of the API server.
    #[serde(default)]
    pub generation: i64,
    /// The earlier generation that stays in force while this one is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation_in_force: Option<i64>,
    pub state: PolicyState,
    /// Why it is not enforced, or not wholly.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Workloads of this node that it selects: containers, and the node itself.
    #[serde(default)]
    pub workloads: u32,
    /// Rules that this node's enforcer cannot hold, the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_expressed: Vec<NotExpressed>,
    /// When what is in force of it last changed, as RFC 3339 has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub last_change: Option<String>,
}

/// How far a policy holds on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PolicyState {
    /// All of it.
    Enforced,
    /// Some rules, or not in all workloads.
    Partial,
    /// It only alerts where it selects: the pods have `kubearmor-policy: audited`.
    AuditOnly,
    /// None of it.
    NotEnforced,
    /// The agent's configuration has policies of this kind switched off.
    NotEnabled,
    /// The language or the enforcer does not take it.
    Refused,
}

impl PolicyState {
    pub const ALL: [Self; 6] = [
        Self::Enforced,
        Self::Partial,
        Self::AuditOnly,
        Self::NotEnforced,
        Self::NotEnabled,
        Self::Refused,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforced => "Enforced",
            Self::Partial => "Partial",
            Self::AuditOnly => "AuditOnly",
            Self::NotEnforced => "NotEnforced",
            Self::NotEnabled => "NotEnabled",
            Self::Refused => "Refused",
        }
    }
}

/// A rule that an enforcer cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotExpressed {
    /// Its place, such as `spec.file.matchPaths[0]`.
    pub rule: String,
    pub reason: String,
}

impl NodeSummary {
    /// Brings it to a size that API servers take, in an order that does not change by itself.
    pub fn bound(&mut self) {
        self.policies.sort_by(|a, b| {
            (&a.kind, &a.namespace, &a.name).cmp(&(&b.kind, &b.namespace, &b.name))
        });
        let over = self.policies.len().saturating_sub(MOST_POLICIES);
        self.policies.truncate(MOST_POLICIES);
        self.omitted = self.omitted.saturating_add(u32::try_from(over).unwrap_or(u32::MAX));
        for policy in &mut self.policies {
            shorten(&mut policy.reason);
            policy.not_expressed.truncate(MOST_RULES);
            for rule in &mut policy.not_expressed {
                shorten(&mut rule.reason);
            }
        }
    }
}

fn shorten(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(LONGEST_REASON) {
        text.truncate(end);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt as _;

    use super::*;

    fn policy(name: &str) -> PolicySummary {
        PolicySummary {
            kind: "KubeArmorPolicy".into(),
            namespace: "shop".into(),
            name: name.into(),
            generation: 2,
            generation_in_force: None,
            state: PolicyState::Enforced,
            reason: String::new(),
            workloads: 1,
            not_expressed: Vec::new(),
            last_change: None,
        }
    }

    #[test]
    fn a_summary_has_an_order_and_an_end() {
        let mut long = policy("a");
        long.reason = "ü".repeat(LONGEST_REASON + 1);
        let rule = NotExpressed { rule: "spec.file".into(), reason: String::new() };
        long.not_expressed = vec![rule; MOST_RULES + 1];
        let others = (0..MOST_POLICIES).rev().map(|number| policy(&format!("b{number:05}")));
        let mut summary =
            NodeSummary { policies: others.chain([long]).collect(), ..NodeSummary::default() };
        summary.bound();
        assert_eq!((summary.policies.len(), summary.omitted), (MOST_POLICIES, 1));
        assert_eq!(summary.policies[0].name, "a");
        assert_eq!(summary.policies[0].reason.chars().count(), LONGEST_REASON + 1);
        assert_eq!(summary.policies[0].not_expressed.len(), MOST_RULES);
        assert!(summary.policies.is_sorted_by_key(|policy| policy.name.clone()));
    }

    #[test]
    fn states_are_written_by_their_names() {
        for state in PolicyState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }

    #[test]
    fn an_object_names_its_kind_and_is_one_of_the_whole_cluster() {
        let definition = KubeArmorNode::crd();
        assert_eq!(
            definition.metadata.name.as_deref(),
            Some("kubearmornodes.security.kubearmor.com")
        );
        assert_eq!(definition.spec.scope, "Cluster");
        let status =
            definition.spec.versions[0].subresources.as_ref().and_then(|of| of.status.as_ref());
        assert!(status.is_some());
    }
}
