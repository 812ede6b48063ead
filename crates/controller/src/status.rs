//! The status of a policy: what the language and each node's agent say of it, as one answer.
//!
//! All of it is pure: [`Reports`] keeps what agents have told, [`Tally`] counts it for one policy, [`PolicyStatus`] is what a
//! cluster is told. Deviations are named, what is in order is only counted: a status has to stay small on any number of nodes.

mod reports;
mod tally;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use policy::PolicyId;
use serde::{Deserialize, Serialize};

pub use self::{
    reports::{Reports, Touched},
    tally::Tally,
};
use crate::admission::Standing;

/// Names in a message.
const NAMED: usize = 3;
/// Characters of a message.
const LONGEST_MESSAGE: usize = 2000;

/// What a policy's object is, apart from what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub id: PolicyId,
    pub generation: i64,
    pub standing: Standing,
}

/// `status` of a policy, as `deploy/crds` define it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyStatus {
    /// One word for all of it.
    pub status: String,
    pub observed_generation: i64,
    pub conditions: Vec<Condition>,
    /// Workloads that it selects, on all nodes.
    pub workloads: u64,
    pub node_counts: NodeCounts,
    /// Nodes where it does not hold as it says, the first few.
    pub nodes: Vec<NodeState>,
    pub not_expressible: Vec<NotExpressible>,
    /// When the last change had come into force on every node that it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforced_everywhere_at: Option<Time>,
}

/// Nodes, each in one of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeCounts {
    /// All of it is in force.
    pub enforced: u32,
    pub partial: u32,
    pub audit_only: u32,
    pub not_enforced: u32,
    pub not_enabled: u32,
    pub refused: u32,
    /// Nothing to do: it selects no workload there.
    pub idle: u32,
    /// Has not told of this generation yet.
    pub pending: u32,
    /// Knows more policies than it can tell of.
    pub untold: u32,
}

/// What one node has to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeState {
    pub name: String,
    pub state: String,
    pub message: String,
    pub observed_generation: i64,
    /// What stays in force there while this generation is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation_in_force: Option<i64>,
}

/// A rule that some enforcer cannot hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NotExpressible {
    pub rule: String,
    pub enforcer: String,
    pub reason: String,
    /// The first few.
    pub nodes: Vec<String>,
    pub node_count: u32,
}

impl NodeCounts {
    /// Nodes that it concerns and that have told of it.
    pub fn concerned(&self) -> u32 {
        self.enforced + self.at_odds()
    }

    /// Those of them where not all of it is in force.
    fn at_odds(&self) -> u32 {
        self.partial + self.audit_only + self.not_enforced + self.not_enabled + self.refused
    }

    pub fn all(&self) -> u32 {
        self.concerned() + self.idle + self.pending + self.untold
    }
}

/// How soon a change is worth a write, which every agent of the cluster hears of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Only numbers differ, as they do whenever a pod starts.
    Numbers,
    /// Nodes are at it, and probably done in a moment.
    Progress,
    Outcome,
}

impl PolicyStatus {
    /// What is to be told at `now`, after `previous` was.
    pub fn new(subject: &Subject, tally: Tally, previous: Option<&Self>, now: Timestamp) -> Self {
        let enforced = enforced(subject, &tally);
        let generation = subject.generation;
        let conditions =
            [("Accepted", accepted(&subject.standing)), ("Enforced", enforced.clone())]
                .map(|(name, finding)| finding.into_condition(name, generation, previous, now))
                .into();
        let everywhere = enforced.status == "True" && tally.counts.concerned() > 0;
        // Pods that come and go later do not make it another change.
        let known = previous
            .filter(|previous| previous.observed_generation == generation)
            .and_then(|previous| previous.enforced_everywhere_at.clone());
        let last = tally.last_change.unwrap_or(now);
        let enforced_everywhere_at = everywhere.then(|| known.unwrap_or(Time(last)));
        let Tally { counts, workloads, nodes, not_expressible, .. } = tally;
        Self {
            status: word(&subject.standing, counts).to_owned(),
            observed_generation: generation,
            conditions,
            workloads,
            node_counts: counts,
            nodes,
            not_expressible,
            enforced_everywhere_at,
        }
    }

    /// How soon this is to replace `previous`; `None` if it says the same.
    pub fn urgency(&self, previous: Option<&Self>) -> Option<Urgency> {
        let Some(previous) = previous else { return Some(self.weight()) };
        if self == previous {
            return None;
        }
        let findings = |status: &Self| -> Vec<(String, String)> {
            let conditions = status.conditions.iter();
            conditions.map(|found| (found.status.clone(), found.reason.clone())).collect()
        };
        let alike = self.status == previous.status
            && self.observed_generation == previous.observed_generation
            && findings(self) == findings(previous)
            && self.nodes == previous.nodes
            && self.not_expressible == previous.not_expressible;
        Some(if alike { Urgency::Numbers } else { self.weight() })
    }

    fn weight(&self) -> Urgency {
        let progresses = self.conditions.iter().any(|found| found.status == "Unknown");
        if progresses { Urgency::Progress } else { Urgency::Outcome }
    }
}

/// A condition without its times.
#[derive(Clone, Debug)]
struct Finding {
    status: &'static str,
    reason: &'static str,
    message: String,
}

impl Finding {
    fn new(status: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into() }
    }

    fn into_condition(
        self,
        name: &str,
        generation: i64,
        previous: Option<&PolicyStatus>,
        now: Timestamp,
    ) -> Condition {
        let earlier = previous.into_iter().flat_map(|previous| &previous.conditions);
        let since = earlier
            .filter(|earlier| earlier.type_ == name && earlier.status == self.status)
            .map(|earlier| earlier.last_transition_time.clone())
            .next();
        let mut message = self.message;
        if let Some((end, _)) = message.char_indices().nth(LONGEST_MESSAGE) {
            message.truncate(end);
            message.push('…');
        }
        Condition {
            type_: name.to_owned(),
            status: self.status.to_owned(),
            reason: self.reason.to_owned(),
            message,
            observed_generation: Some(generation),
            last_transition_time: since.unwrap_or(Time(now)),
        }
    }
}

fn accepted(standing: &Standing) -> Finding {
    match standing {
        Standing::Rejected(errors) => Finding::new("False", "Rejected", errors.join("\n")),
        Standing::Accepted { faults } if faults.is_empty() => {
            Finding::new("True", "Accepted", "the language takes it")
        }
        Standing::Accepted { faults } => {
            let message = format!("taken, with faults:\n{}", faults.join("\n"));
            Finding::new("True", "AcceptedWithFaults", message)
        }
    }
}

fn enforced(subject: &Subject, tally: &Tally) -> Finding {
    let counts = tally.counts;
    let nodes =
        |number: u32| if number == 1 { "1 node".to_owned() } else { format!("{number} nodes") };
    if matches!(subject.standing, Standing::Rejected(_)) {
        return Finding::new("False", "Rejected", "no agent takes it: see the condition Accepted");
    }
    if counts.all() == 0 {
        return Finding::new("Unknown", "NoNodes", "no agent has told anything yet");
    }
    let mut message = format!("in force on {}", nodes(counts.enforced));
    for (number, what) in [
        (counts.refused, "refused on"),
        (counts.not_enforced, "not in force on"),
        (counts.partial, "in force in part on"),
        (counts.not_enabled, "switched off on"),
        (counts.audit_only, "only audited on"),
    ] {
        if number > 0 {
            let _ = write!(message, ", {what} {}", nodes(number));
        }
    }
    if let Some(first) = tally.nodes.first() {
        let _ = write!(message, "; {}: {}", first.name, first.message);
    }
    if counts.pending > 0 {
        let names = tally.waiting.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = if counts.pending as usize > NAMED { ", ..." } else { "" };
        let _ = write!(message, "; waiting for {} ({names}{more})", nodes(counts.pending));
    }
    if counts.untold > 0 {
        let _ = write!(message, "; {} with too many policies to tell of all", nodes(counts.untold));
    }
    let (status, reason) = if counts.refused > 0 {
        ("False", "Refused")
    } else if counts.not_enforced > 0 {
        ("False", "NotEnforced")
    } else if counts.partial > 0 {
        ("False", "Partial")
    } else if counts.not_enabled > 0 {
        ("False", "NotEnabled")
    } else if counts.audit_only > 0 {
        ("False", "AuditOnly")
    } else if counts.pending > 0 {
        ("Unknown", "Progressing")
    } else if counts.concerned() == 0 {
        message = "it selects nothing at present".to_owned();
        ("True", "NothingSelected")
    } else {
        ("True", "Enforced")
    };
    Finding { status, reason, message }
}

/// One word for all nodes together.
fn word(standing: &Standing, counts: NodeCounts) -> &'static str {
    let NodeCounts { enforced, partial, audit_only, not_enforced, not_enabled, refused, .. } =
        counts;
    if matches!(standing, Standing::Rejected(_)) {
        return "Rejected";
    }
    if counts.at_odds() == 0 {
        return match (counts.pending, counts.all(), enforced) {
            (1.., ..) | (_, 0, _) => "Pending",
            (_, _, 0) => "NothingSelected",
            _ => "Enforced",
        };
    }
    if enforced + partial > 0 {
        return "Partial";
    }
    match (audit_only, not_enforced, not_enabled, refused) {
        (1.., 0, 0, 0) => "AuditOnly",
        (0, 0, 1.., 0) => "NotEnabled",
        (0, 0, 0, 1..) => "Refused",
        _ => "NotEnforced",
    }
}
