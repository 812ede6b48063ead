//! Policies that arrive through gRPC, and what is answered about those in force.

use std::{collections::BTreeMap, sync::Arc};

use feed::{PolicyAnswer, PolicyHandler, PolicyStatus, ProbeData, ProbeResponse, proto};
use policy::{Diagnostic, Kind, PolicyEvent};
use telemetry::Memory;
use tracing::{info, warn};

use crate::{
    events::Accounts,
    index::{Gone, Index, IndexHandle, Keeper, Overview, Refusal},
};

/// Answers for the index.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) index: IndexHandle,
    pub(crate) accounts: Arc<Accounts>,
}

#[feed::async_trait]
impl PolicyHandler for Desk {
    async fn apply(&self, bytes: Vec<u8>, kind: Kind) -> PolicyAnswer {
        let parsed = policy::parse_event(&bytes, kind);
        let findings = lines(&parsed.diagnostics);
        if parsed.has_errors() || parsed.events.is_empty() {
            warn!("a policy was refused: {findings}");
            let message = if findings.is_empty() {
                "no policy in the text; write one, beginning with apiVersion, kind and metadata.name"
                    .to_owned()
            } else {
                findings
            };
            return PolicyAnswer { status: PolicyStatus::Invalid, message };
        }
        // Text, since whatever else has errors.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let answered = self
            .index
            .call(move |index| {
                let answers: Vec<_> =
                    parsed.events.into_iter().map(|event| submit(index, event, &text)).collect();
                gather(answers)
            })
            .await;
        let mut answer = answered.unwrap_or_else(|gone: Gone| PolicyAnswer {
            status: PolicyStatus::Failure,
            message: gone.to_string(),
        });
        answer.message = [findings, answer.message]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("\n");
        answer
    }
}

#[feed::async_trait]
impl ProbeData for Desk {
    async fn probe(&self) -> ProbeResponse {
        let Ok(overview) = self.index.call(|index| index.overview()).await else {
            return ProbeResponse::default();
        };
        let usage = usage(&overview, self.accounts.memory());
        let (hosts, containers): (Vec<_>, Vec<_>) =
            overview.workloads.into_iter().partition(|workload| workload.host);
        ProbeResponse {
            container_list: containers.iter().map(|container| container.name.clone()).collect(),
            container_map: containers
                .into_iter()
                .map(|container| {
                    let data = proto::policy::ContainerData {
                        policy_list: container.policies.into_iter().collect(),
                        policy_enabled: 1,
                        policy_data_list: Vec::new(),
                    };
                    (container.name, data)
                })
                .collect(),
            host_map: hosts
                .into_iter()
                .map(|host| {
                    let data = proto::policy::HostSecurityPolicies {
                        policy_list: host.policies.into_iter().collect(),
                        policy_data_list: Vec::new(),
                    };
                    (host.name, data)
                })
                .collect(),
            network_map: BTreeMap::new(),
            policies: overview
                .policies
                .into_iter()
                .map(|policy| proto::policy::PolicyState {
                    kind: policy.id.kind.as_str().to_owned(),
                    namespace: policy.id.namespace.unwrap_or_default(),
                    name: policy.id.name,
                    state: policy.state.to_owned(),
                    notes: policy.notes,
                })
                .collect(),
            accounts: self.accounts.lines().into_iter().map(Into::into).collect(),
            usage,
        }
    }
}

/// What the agent and its programs hold, by name.
fn usage(overview: &Overview, memory: Memory) -> Vec<proto::policy::Usage> {
    let Overview { workloads, usage, identities, pasts, .. } = overview;
    let line = |(what, count): (&str, usize)| proto::policy::Usage {
        what: what.to_owned(),
        count: u64::try_from(count).unwrap_or(u64::MAX),
    };
    let lines = [
        ("workloads", workloads.len()),
        ("slots", usage.slots),
        ("control groups", usage.kernel.cgroups),
        ("images", usage.images),
        ("words of images", usage.kernel.image_words),
        ("hard links", usage.kernel.aliases),
        ("old files", usage.kernel.old_files),
        ("remembered slots and images", usage.remembered),
        ("remembered containers", *identities),
        ("containers that may come again", *pasts),
        ("remembered programs", memory.programs),
        ("accounts", memory.accounts),
        ("throttled rules", memory.streams),
    ];
    lines.into_iter().map(line).collect()
}

/// Does what one event asks.
pub(crate) fn submit(index: &mut Index, event: PolicyEvent, text: &str) -> PolicyAnswer {
    let id = event.id().clone();
    let done = match event {
        PolicyEvent::Added(policy) => {
            index.apply(policy, text, Keeper::Store).map(|notes| (PolicyStatus::Applied, notes))
        }
        PolicyEvent::Modified(policy) => {
            index.apply(policy, text, Keeper::Store).map(|notes| (PolicyStatus::Modified, notes))
        }
        PolicyEvent::Deleted(id) => index.delete(&id, &Keeper::Store).map(|existed| {
            (if existed { PolicyStatus::Deleted } else { PolicyStatus::NotExist }, Vec::new())
        }),
    };
    match done {
        Ok((status, notes)) => {
            info!("{} {}: {}", id.kind, id.name, status.as_str_name());
            PolicyAnswer { status, message: notes.join("\n") }
        }
        Err(refusal) => {
            warn!("{refusal}");
            let status = match refusal {
                Refusal::NotEnabled { .. } => PolicyStatus::NotEnabled,
                _ => PolicyStatus::Failure,
            };
            PolicyAnswer { status, message: refusal.to_string() }
        }
    }
}

/// One answer for several: the first that is bad, else the last.
fn gather(answers: Vec<PolicyAnswer>) -> PolicyAnswer {
    let good = [PolicyStatus::Applied, PolicyStatus::Modified, PolicyStatus::Deleted];
    let status = answers
        .iter()
        .find(|answer| !good.contains(&answer.status))
        .or(answers.last())
        .map_or(PolicyStatus::Failure, |answer| answer.status);
    let messages: Vec<_> =
        answers.into_iter().map(|answer| answer.message).filter(|text| !text.is_empty()).collect();
    PolicyAnswer { status, message: messages.join("\n") }
}

pub(crate) fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
