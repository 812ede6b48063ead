//! Policies that arrive through gRPC, and what is answered about those in force.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use feed::{
    PolicyAnswer, PolicyHandler, PolicyStatus, ProbeData, ProbeResponse, metrics::Histogram, proto,
};
use policy::{Diagnostic, Kind, PolicyEvent};
use sensor::Held;
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
    pub(crate) answers: Arc<Answers>,
}

/// What was answered about policies, and how long that took.
pub(crate) struct Answers {
    /// By the policy's kind and the answer.
    given: Mutex<BTreeMap<(Kind, PolicyStatus), u64>>,
    /// From when a policy had been read off the wire until the kernel decided by it.
    pub(crate) enforced: Histogram,
}

/// Seconds.
const TIMES: [f64; 10] = [0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

impl Default for Answers {
    fn default() -> Self {
        Self { given: Mutex::default(), enforced: Histogram::new(&TIMES) }
    }
}

impl Answers {
    pub(crate) fn given(&self) -> BTreeMap<(Kind, PolicyStatus), u64> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn note(&self, kind: Kind, status: PolicyStatus) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        *given.entry((kind, status)).or_default() += 1;
    }
}

#[feed::async_trait]
impl PolicyHandler for Desk {
    async fn apply(&self, bytes: Vec<u8>, kind: Kind) -> PolicyAnswer {
        let received = Instant::now();
        let parsed = policy::parse_event(&bytes, kind);
        let findings = lines(&parsed.diagnostics);
        if parsed.has_errors() || parsed.events.is_empty() {
            warn!("a policy was refused: {findings}");
            self.answers.note(kind, PolicyStatus::Invalid);
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
        let noted = Arc::clone(&self.answers);
        let answered = self
            .index
            .call(move |index| {
                let answer = |event: PolicyEvent| {
                    let kind = event.id().kind;
                    let answer = submit(index, event, &text);
                    noted.note(kind, answer.status);
                    answer
                };
                gather(parsed.events.into_iter().map(answer).collect())
            })
            .await;
        let mut answer = answered.unwrap_or_else(|gone: Gone| PolicyAnswer {
            status: PolicyStatus::Failure,
            message: gone.to_string(),
        });
        if GOOD.contains(&answer.status) {
            self.answers.enforced.observe(received.elapsed());
        }
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
        let told = self.index.call(|index| (index.overview(), index.held())).await;
        let Ok((overview, held)) = told else { return ProbeResponse::default() };
        let usage = usage(&overview, held, self.accounts.memory());
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
fn usage(overview: &Overview, held: Held, memory: Memory) -> Vec<proto::policy::Usage> {
    let Overview { workloads, in_use, identities, pasts, .. } = overview;
    let image_bytes = usize::try_from(in_use.arena_bytes).unwrap_or(usize::MAX);
    let line = |(what, count): (&str, usize)| proto::policy::Usage {
        what: what.to_owned(),
        count: u64::try_from(count).unwrap_or(u64::MAX),
    };
    let lines = [
        ("workloads", workloads.len()),
        ("slots", in_use.slots),
        ("control groups", held.cgroups),
        ("images", in_use.images),
        ("KiB of images", image_bytes / 1024),
        ("hard links", held.aliases),
        ("old files", held.old_files),
        ("remembered slots and images", in_use.remembered),
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

/// What was asked is in force.
const GOOD: [PolicyStatus; 3] =
    [PolicyStatus::Applied, PolicyStatus::Modified, PolicyStatus::Deleted];

/// One answer for several: the first that is bad, else the last.
fn gather(answers: Vec<PolicyAnswer>) -> PolicyAnswer {
    let status = answers
        .iter()
        .find(|answer| !GOOD.contains(&answer.status))
        .or(answers.last())
        .map_or(PolicyStatus::Failure, |answer| answer.status);
    let messages: Vec<_> =
        answers.into_iter().map(|answer| answer.message).filter(|text| !text.is_empty()).collect();
    PolicyAnswer { status, message: messages.join("\n") }
}

pub(crate) fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
