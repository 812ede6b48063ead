//! What the pods of all programs have in common.

use serde_json::{Map, Value, json};

use super::Installation;
use crate::{ImageSpec, KubeArmorConfigSpec, labels};

/// One program of ours in a pod of its own.
pub(super) struct Program<'a> {
    /// The container's name, and the value of the label by which it is found.
    pub(super) name: &'a str,
    pub(super) account: &'a str,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<Value>,
    pub(super) own: &'a ImageSpec,
    /// Further fields of the container.
    pub(super) container: Value,
    /// Further fields of the pod.
    pub(super) pod: Value,
}

/// A pod template: what the configuration says of all pods and of this one, over what the program needs.
pub(super) fn template(
    installation: &Installation,
    spec: &KubeArmorConfigSpec,
    program: Program<'_>,
) -> Value {
    let Program { name, account, args, mut env, own, container, pod } = program;
    env.extend(own.env.iter().chain(&spec.global_env).map(|variable| json!(variable)));
    let mut containers = json!({
        "name": name,
        "image": own.image.as_ref().unwrap_or(&installation.image),
        "imagePullPolicy": own.image_pull_policy.as_ref().unwrap_or(&installation.pull_policy),
        "args": merged(args, &own.args),
    });
    if !env.is_empty() {
        containers["env"] = Value::Array(once_each(env));
    }
    lay_over(&mut containers, container);
    let mut inner = json!({"serviceAccountName": account});
    lay_over(&mut inner, pod);
    let mut selector = spec.global_node_selector.clone();
    selector.extend(own.node_selector.clone());
    for (label, value) in selector {
        inner["nodeSelector"][label] = json!(value);
    }
    let given = installation.pull_secrets.iter().map(|name| json!({"name": name}));
    let secrets = own.image_pull_secrets.iter().chain(&spec.global_image_pull_secrets);
    let secrets: Vec<Value> = given.chain(secrets.map(|secret| json!(secret))).collect();
    if !secrets.is_empty() {
        inner["imagePullSecrets"] = Value::Array(once_each(secrets));
    }
    let tolerations = own.tolerations.iter().chain(&spec.global_tolerations);
    let tolerations: Vec<Value> = tolerations.map(|toleration| json!(toleration)).collect();
    if inner.get("tolerations").is_none() && !tolerations.is_empty() {
        inner["tolerations"] = Value::Array(tolerations);
    }
    inner["containers"] = json!([containers]);
    json!({
        "metadata": {"labels": {labels::APP: name, labels::PART_OF: labels::PRODUCT}},
        "spec": inner,
    })
}

/// For programs that need nothing of the node.
pub(super) fn unprivileged() -> (Value, Value) {
    let container = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    });
    let pod = json!({
        "runAsNonRoot": true,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    (container, pod)
}

/// Replicas on different nodes, where there are several.
pub(super) fn apart(app: &str) -> Value {
    json!([{
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {labels::APP: app}},
    }])
}

/// An environment variable that is a field of the pod.
pub(super) fn field(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}

/// A secret's certificate, key and authority under the names of files.
pub(super) fn secret_files(secret: &str, files: &[(&str, &str)]) -> Value {
    let items: Vec<Value> =
        files.iter().map(|(key, path)| json!({"key": key, "path": path})).collect();
    json!({"secret": {"name": secret, "items": items}})
}

/// `ours`, with those of `theirs` in place of those of the same name. Dashes are one or two, as everywhere here.
fn merged(ours: Vec<String>, theirs: &[String]) -> Vec<String> {
    fn key(argument: &str) -> &str {
        argument.trim_start_matches('-').split('=').next().unwrap_or_default()
    }
    let mut all = ours;
    for argument in theirs {
        match all.iter_mut().find(|known| known.starts_with('-') && key(known) == key(argument)) {
            Some(known) => known.clone_from(argument),
            None => all.push(argument.clone()),
        }
    }
    all
}

/// The first one of each name: API servers take no second.
fn once_each(entries: Vec<Value>) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for entry in entries {
        if kept.iter().all(|known| known["name"] != entry["name"]) {
            kept.push(entry);
        }
    }
    kept
}

fn lay_over(value: &mut Value, over: Value) {
    if let (Value::Object(fields), Value::Object(more)) = (value, over) {
        Map::extend(fields, more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_the_configuration_take_the_place_of_ours() {
        let ours = ["agent", "--gRPC=32767"].map(str::to_owned).to_vec();
        let theirs = ["-gRPC=1".to_owned(), "--logPath=stdout".to_owned()];
        assert_eq!(merged(ours, &theirs), ["agent", "-gRPC=1", "--logPath=stdout"]);
    }

    #[test]
    fn a_name_is_told_once() {
        let entries = vec![json!({"name": "A", "value": "1"}), json!({"name": "A", "value": "2"})];
        assert_eq!(once_each(entries), [json!({"name": "A", "value": "1"})]);
    }
}
