//! Objects brought to what they should be, by server-side apply, and found again by their labels.

use kube::{
    Api, Client,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    },
};
use serde_json::Value;

/// An object that the API server did not take, or could not be asked for.
#[derive(Debug)]
pub struct ApplyError {
    /// Such as `DaemonSet kubearmor/kubearmor-bpf-containerd-1a2b3`.
    pub object: String,
    pub source: kube::Error,
}

impl std::fmt::Display for ApplyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.source {
            kube::Error::Api(status) => write!(f, "{}: {}", self.object, status.message),
            other => write!(f, "{}: {other}", self.object),
        }
    }
}

impl std::error::Error for ApplyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl ApplyError {
    /// There is no such object, or no such kind.
    pub fn is_not_found(&self) -> bool {
        matches!(&self.source, kube::Error::Api(status) if status.code == 404)
    }
}

/// Whether the API server was asked to keep what it judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Keep,
    DryRun,
}

/// Applies an object; `manager` owns the fields in it, also those that others have set.
pub async fn apply(
    client: &Client,
    manager: &str,
    object: &Value,
    mode: Mode,
) -> Result<DynamicObject, ApplyError> {
    let mut how = PatchParams::apply(manager).force();
    if mode == Mode::DryRun {
        how = how.dry_run();
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let answer = api(client, object).patch(name, &how, &Patch::Apply(object)).await;
    answer.map_err(|source| ApplyError { object: called(object), source })
}

/// Deletes an object, and what it owns. `false` if it was not there.
pub async fn delete(client: &Client, object: &Value) -> Result<bool, ApplyError> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    match api(client, object).delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(true),
        Err(source) => {
            let error = ApplyError { object: called(object), source };
            if error.is_not_found() { Ok(false) } else { Err(error) }
        }
    }
}

/// Objects of a kind with these labels, in a namespace or of the whole cluster; none where there is no such kind.
pub async fn labelled(
    client: &Client,
    api_version: &str,
    kind: &str,
    namespace: Option<&str>,
    labels: &str,
) -> Result<Vec<Value>, ApplyError> {
    let resource = resource(api_version, kind);
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    match api.list(&ListParams::default().labels(labels)).await {
        Ok(list) => Ok(list
            .items
            .into_iter()
            .map(|object| {
                let mut value = serde_json::to_value(&object).unwrap_or_default();
                // Entries of lists do not tell.
                value["apiVersion"] = api_version.into();
                value["kind"] = kind.into();
                value
            })
            .collect()),
        Err(source) => {
            let error = ApplyError { object: kind.to_owned(), source };
            if error.is_not_found() { Ok(Vec::new()) } else { Err(error) }
        }
    }
}

/// What messages call an object.
pub fn called(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

fn api(client: &Client, object: &Value) -> Api<DynamicObject> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let resource = resource(&text(&object["apiVersion"]), &text(&object["kind"]));
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

fn resource(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plural is guessed from the kind's name.
    #[test]
    fn kinds_have_their_plurals() {
        for (api_version, kind, plural) in [
            ("v1", "Namespace", "namespaces"),
            ("v1", "Service", "services"),
            ("apps/v1", "DaemonSet", "daemonsets"),
            ("security.kubearmor.com/v1", "KubeArmorClusterPolicy", "kubearmorclusterpolicies"),
            ("operator.kubearmor.com/v1", "KubeArmorConfig", "kubearmorconfigs"),
            ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings"),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions"),
            (
                "admissionregistration.k8s.io/v1",
                "ValidatingWebhookConfiguration",
                "validatingwebhookconfigurations",
            ),
        ] {
            assert_eq!(resource(api_version, kind).plural, plural);
        }
    }

    #[test]
    fn messages_name_the_object() {
        let object =
            serde_json::json!({"kind": "Secret", "metadata": {"name": "a", "namespace": "b"}});
        assert_eq!(called(&object), "Secret b/a");
    }
}
