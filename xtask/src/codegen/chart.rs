//! The Helm chart: the same objects, with values of the chart in some places.

use anyhow::Result;
use manifests::{Installation, Object, base, operator};
use serde_json::json;

use super::{Generated, objects};

const FOLDER: &str = "deploy/helm/kubearmor-operator";
const HEADER: &str =
    "# Written by `cargo xtask codegen` from crates/manifests and xtask/src/codegen/chart.rs.\n";

/// A value of the chart: its place, what it is unless told otherwise, and what it does. `docs/kubernetes.md` has the same table.
/// The places are those of the existing chart.
const VALUES: [(&str, &str, &str); 15] = [
    (
        "global.autoDeploy",
        "false",
        "Whether the chart brings a KubeArmorConfig; without one the operator waits for yours",
    ),
    (
        "kubearmorOperator.image.repository",
        "docker.io/kubearmor/kubearmor",
        "The image, which has all programs",
    ),
    ("kubearmorOperator.image.tag", "\"\"", "Its tag; the chart's appVersion if empty"),
    (
        "kubearmorOperator.image.imagePullSecrets",
        "[]",
        "Pull secrets of all pods, as `- name: NAME`",
    ),
    (
        "kubearmorOperator.imagePullPolicy",
        "IfNotPresent",
        "Of all pods, unless the KubeArmorConfig says otherwise",
    ),
    ("kubearmorOperator.args", "[]", "Further arguments of the operator"),
    ("kubearmorOperator.env", "[]", "Further environment variables of the operator"),
    ("kubearmorOperator.nodeSelector", "{}", "Where the operator may run"),
    ("kubearmorOperator.tolerations", "[]", "What the operator tolerates"),
    (
        "kubearmorOperator.resources",
        "{}",
        "What the operator asks for, in place of 20m, 32Mi and at most 256Mi",
    ),
    ("kubearmorOperator.podLabels", "{}", "Further labels of the operator's pod"),
    ("kubearmorOperator.podAnnotations", "{}", "Annotations of the operator's pod"),
    ("kubearmorOperator.podSecurityContext", "{}", "Laid over the pod's security context"),
    ("kubearmorOperator.securityContext", "{}", "Laid over the container's security context"),
    ("kubearmorConfig", "{}", "The spec of that KubeArmorConfig"),
];

const HELPERS: &str = "{{- /* Written by `cargo xtask codegen`. */ -}}
{{- define `kubearmor.image` -}}
{{ .Values.kubearmorOperator.image.repository }}:{{ .Values.kubearmorOperator.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- define `kubearmor.pullSecrets` -}}
{{- $names := list -}}
{{- range .Values.kubearmorOperator.image.imagePullSecrets }}{{ $names = append $names .name }}{{ end -}}
{{ join `,` $names }}
{{- end -}}
";

const NOTES: &str = "KubeArmor's operator looks at each node and starts an agent there.
{{- if not .Values.global.autoDeploy }}

It waits for a KubeArmorConfig in this namespace:

  kubectl apply -f - <<EOF
  apiVersion: operator.kubearmor.com/v1
  kind: KubeArmorConfig
  metadata: {name: kubearmorconfig-default, namespace: {{ .Release.Namespace }}}
  spec: {}
  EOF
{{- end }}

What becomes of it: kubectl get kubearmorconfig -n {{ .Release.Namespace }}
";

/// All files of the chart.
pub(super) fn files() -> Result<Vec<Generated>> {
    let mut files = vec![
        generated("Chart.yaml", chart()),
        generated("values.yaml", values()),
        generated("templates/_helpers.tpl", HELPERS.to_owned()),
        generated("templates/NOTES.txt", NOTES.to_owned()),
        generated("templates/operator.yaml", template()?),
        generated("templates/config.yaml", config()),
    ];
    for definition in objects::definitions()? {
        let name = definition["spec"]["names"]["plural"].as_str().unwrap_or_default();
        let text = format!("{HEADER}{}", objects::documents(std::slice::from_ref(&definition))?);
        files.push(generated(&format!("crds/{name}.yaml"), text));
    }
    Ok(files)
}

fn generated(name: &str, text: String) -> Generated {
    Generated { path: format!("{FOLDER}/{name}").into(), text }
}

fn chart() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "{HEADER}apiVersion: v2
name: kubearmor-operator
description: Runtime security enforcement for containers and nodes
type: application
version: {version}
appVersion: {version}
kubeVersion: '>=1.30.0-0'
home: https://kubearmor.io/
"
    )
}

/// `values.yaml`, each value under its meaning.
fn values() -> String {
    let mut text = HEADER.to_owned();
    let mut open: Vec<&str> = Vec::new();
    for (place, default, about) in VALUES {
        let mut parents: Vec<&str> = place.split('.').collect();
        let name = parents.pop().unwrap_or_default();
        let same = open.iter().zip(&parents).take_while(|(one, other)| one == other).count();
        for (depth, parent) in parents.iter().enumerate().skip(same) {
            text.extend(["  ".repeat(depth).as_str(), parent, ":\n"]);
        }
        let indent = "  ".repeat(parents.len());
        let lines = format!("{indent}# {about}.\n{indent}{name}: {default}\n");
        text.push_str(&lines);
        open = parents;
    }
    text
}

/// The operator with its account and all accounts that it gives to others.
fn template() -> Result<String> {
    let installation = Installation {
        namespace: "{{ .Release.Namespace }}".into(),
        image: "{{ include `kubearmor.image` . }}".into(),
        pull_policy: "{{ .Values.kubearmorOperator.imagePullPolicy }}".into(),
        ..Installation::default()
    };
    let mut all = base(&installation, Vec::new());
    // Helm makes the namespace itself.
    all.retain(|object| object["kind"] != "Namespace");
    all.push(with_values(operator(&installation)));
    Ok(format!("{HEADER}{}", unquoted(&objects::documents(&all)?)))
}

fn with_values(mut deployment: Object) -> Object {
    let template = &mut deployment["spec"]["template"];
    let labels = template["metadata"]["labels"].clone();
    let labels = dict(&labels, "kubearmorOperator.podLabels");
    template["metadata"]["labels"] = json!(labels);
    template["metadata"]["annotations"] =
        json!("{{ toJson .Values.kubearmorOperator.podAnnotations }}");
    let pod = &mut template["spec"];
    for (field, value) in [
        ("nodeSelector", "nodeSelector"),
        ("tolerations", "tolerations"),
        ("imagePullSecrets", "image.imagePullSecrets"),
    ] {
        pod[field] = json!(format!("{{{{ toJson .Values.kubearmorOperator.{value} }}}}"));
    }
    let security = dict(&pod["securityContext"].clone(), "kubearmorOperator.podSecurityContext");
    pod["securityContext"] = json!(security);
    let container = &mut pod["containers"][0];
    let security = dict(&container["securityContext"].clone(), "kubearmorOperator.securityContext");
    container["securityContext"] = json!(security);
    let resources = format!(
        "{{{{ toJson (.Values.kubearmorOperator.resources | default (fromJson `{}`)) }}}}",
        container["resources"]
    );
    container["resources"] = json!(resources);
    let own: Vec<_> = container["env"].as_array().cloned().unwrap_or_default();
    let env = format!(
        "{{{{ toJson (concat (fromJsonArray `{}`) .Values.kubearmorOperator.env) }}}}",
        json!(own)
    );
    container["env"] = json!(env);
    let mut args: Vec<String> = container["args"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|arg| arg.as_str())
        .map(|arg| {
            // An argument with a value of the chart in it is put together when the chart is rendered.
            match arg.split_once("{{ ") {
                Some((before, inner)) => {
                    format!("(print `{before}` ({}))", inner.trim_end_matches(" }}"))
                }
                None => format!("`{arg}`"),
            }
        })
        .collect();
    args.push("(print `--image-pull-secrets=` (include `kubearmor.pullSecrets` .))".to_owned());
    let args = format!(
        "{{{{ toJson (concat (list {}) .Values.kubearmorOperator.args) }}}}",
        args.join(" ")
    );
    container["args"] = json!(args);
    deployment
}

/// An object of ours with a value of the chart laid over it.
fn dict(ours: &Object, value: &str) -> String {
    format!("{{{{ toJson (mergeOverwrite (fromJson `{ours}`) .Values.{value}) }}}}")
}

/// What renders as JSON is no text.
fn unquoted(text: &str) -> String {
    let mut whole = String::new();
    for line in text.lines() {
        let shown = line.split_once(": ").and_then(|(field, value)| {
            let inner = value.strip_prefix(['\'', '"'])?.strip_suffix(['\'', '"'])?;
            inner.starts_with("{{ toJson").then(|| {
                // In quotes of one kind or the other, some characters were written as two.
                let plain = if value.starts_with('"') {
                    inner.replace("\\\"", "\"")
                } else {
                    inner.replace("''", "'")
                };
                format!("{field}: {plain}")
            })
        });
        whole.push_str(shown.as_deref().unwrap_or(line));
        whole.push('\n');
    }
    whole
}

fn config() -> String {
    format!(
        "{HEADER}{{{{- if .Values.global.autoDeploy }}}}
apiVersion: operator.kubearmor.com/v1
kind: KubeArmorConfig
metadata:
  name: {name}
  namespace: {{{{ .Release.Namespace }}}}
  labels:
    app.kubernetes.io/part-of: kubearmor
spec: {{{{ toJson .Values.kubearmorConfig }}}}
{{{{- end }}}}
",
        name = manifests::labels::CONFIG_NAME
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_documentation_has_each_value() {
        let documented = include_str!("../../../docs/kubernetes.md");
        for (place, default, about) in VALUES {
            let line = format!("| `{place}` | `{default}` | {about} |");
            assert!(documented.contains(&line), "{line}");
        }
    }

    #[test]
    fn values_are_where_templates_look_for_them() {
        let values: Value = serde_saphyr::from_str(&values()).unwrap();
        for (place, ..) in VALUES {
            let pointer = format!("/{}", place.replace('.', "/"));
            assert!(values.pointer(&pointer).is_some_and(|value| !value.is_null()), "{place}");
        }
        let template = template().unwrap();
        for used in template.split(".Values.").skip(1) {
            let place: String =
                used.chars().take_while(|c| c.is_alphanumeric() || *c == '.').collect();
            assert!(VALUES.iter().any(|(known, ..)| *known == place), "{place}");
        }
    }

    #[test]
    fn what_renders_as_json_stands_without_quotes() {
        let template = template().unwrap();
        for line in template.lines().filter(|line| line.contains("toJson")) {
            let (_, value) = line.split_once(": ").unwrap();
            assert!(value.starts_with("{{ toJson") && value.ends_with("}}"), "{line}");
        }
    }
}
