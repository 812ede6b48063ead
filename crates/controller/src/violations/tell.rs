//! Violations as events that `kubectl describe` shows with the policy.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{Subject, Violation, Workload};
use crate::{COMPONENT, FIELD_MANAGER};

const API_VERSION: &str = "security.kubearmor.com/v1";
/// Where events on objects without a namespace are kept, as for nodes.
const WITHOUT_NAMESPACE: &str = "default";
/// Characters; API servers take 1,024 bytes.
const LONGEST: usize = 256;
/// Bytes of a policy's name in that of an event.
const NAME: usize = 200;

/// Writes events.
pub struct Teller {
    client: Client,
    /// Who writes: the replica's name.
    instance: String,
}

impl Teller {
    pub fn new(client: Client, instance: &str) -> Self {
        Self { client, instance: instance.to_owned() }
    }

    /// Counts into the event that is there about the same, or makes one.
    pub async fn tell(
        &self,
        subject: &Subject,
        violation: &Violation,
        uid: &str,
    ) -> kube::Result<()> {
        let event = self.event(subject, violation, uid, Timestamp::now());
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let name = event.metadata.name.clone().unwrap_or_default();
        let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let Some(earlier) = events.get_opt(&name).await? else {
            return events.create(&PostParams::default(), &event).await.map(drop);
        };
        let more = event.count.unwrap_or_default();
        let patch = json!({
            "count": earlier.count.unwrap_or_default().saturating_add(more),
            "lastTimestamp": event.last_timestamp,
            "message": event.message,
        });
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        events.patch(&name, &parameters, &Patch::Merge(patch)).await.map(drop)
    }

    fn event(&self, subject: &Subject, violation: &Violation, uid: &str, now: Timestamp) -> Event {
        let Subject { policy, workload, blocked } = subject;
        let namespace = policy.namespace.clone().unwrap_or_else(|| WITHOUT_NAMESPACE.to_owned());
        let (type_, reason, verb) =
            if *blocked { ("Warning", "Blocked", "denied") } else { ("Normal", "Audited", "seen") };
        let message = format!("{workload}: {verb}, lastly {}", violation.last);
        Event {
            metadata: ObjectMeta {
                namespace: Some(namespace),
                name: Some(name(subject, uid)),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some(API_VERSION.to_owned()),
                kind: Some(policy.kind.as_str().to_owned()),
                namespace: policy.namespace.clone(),
                name: Some(policy.name.clone()),
                uid: Some(uid.to_owned()),
                ..ObjectReference::default()
            },
            related: Some(reference(workload)),
            type_: Some(type_.to_owned()),
            reason: Some(reason.to_owned()),
            action: Some(reason.to_owned()),
            message: Some(message.chars().take(LONGEST).collect()),
            count: Some(i32::try_from(violation.count).unwrap_or(i32::MAX)),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: None }),
            reporting_component: Some(COMPONENT.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        }
    }
}

/// The same for the same subject, whoever leads, so that one event counts on.
fn name(subject: &Subject, uid: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (subject, uid).hash(&mut hasher);
    let policy = &subject.policy.name;
    let policy = &policy[..policy.floor_char_boundary(NAME)];
    format!("{policy}.{:016x}", hasher.finish())
}

fn reference(workload: &Workload) -> ObjectReference {
    match workload {
        Workload::Object { kind, namespace, name } => ObjectReference {
            kind: Some(kind.clone()),
            namespace: Some(namespace.clone()),
            name: Some(name.clone()),
            ..ObjectReference::default()
        },
        Workload::Node(name) => ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(name.clone()),
            ..ObjectReference::default()
        },
    }
}
