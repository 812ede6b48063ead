//! Statuses, written sparingly: by server-side apply, only where something differs, and in bounds that [`Pace`] sets.
//!
//! Each write reaches every agent of the cluster as a change of the policy, so one too many costs as many messages as there
//! are nodes.

mod pace;

use std::time::Duration;

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use policy::{Kind, PolicyId};
use serde_json::{Value, json};
use tokio::time::timeout;

pub use self::pace::Pace;
use crate::{FIELD_MANAGER, metrics::Write, status::PolicyStatus};

const GROUP: &str = "security.kubearmor.com";
const VERSION: &str = "v1";
/// What a write has.
const CALL: Duration = Duration::from_secs(10);

/// The resource that has the policies of a kind.
pub(crate) fn resource(kind: Kind) -> ApiResource {
    let singular = kind.as_str().to_lowercase();
    let plural = format!("{}ies", singular.trim_end_matches('y'));
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk(GROUP, VERSION, kind.as_str()),
        &plural,
    )
}

/// Writes the status of one policy, if it is still the object of this `uid`.
pub(crate) async fn apply(
    client: &Client,
    id: &PolicyId,
    uid: &str,
    status: &PolicyStatus,
) -> (Write, Option<String>) {
    let resource = resource(id.kind);
    let policies: Api<DynamicObject> = match &id.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(applied(id, uid, status));
    match timeout(CALL, policies.patch_status(&id.name, &parameters, &patch)).await {
        Ok(Ok(_)) => (Write::Written, None),
        Ok(Err(kube::Error::Api(answer))) if matches!(answer.code, 404 | 409) => {
            (Write::Gone, None)
        }
        Ok(Err(problem)) => (Write::Failed, Some(problem.to_string())),
        Err(_) => (Write::Failed, Some(format!("no answer within {CALL:?}"))),
    }
}

/// The `uid` refuses the write where another object has the name by now.
fn applied(id: &PolicyId, uid: &str, status: &PolicyStatus) -> Value {
    let mut metadata = json!({"name": id.name, "uid": uid});
    if let Some(namespace) = &id.namespace {
        metadata["namespace"] = json!(namespace);
    }
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": id.kind.as_str(),
        "metadata": metadata,
        "status": status,
    })
}
