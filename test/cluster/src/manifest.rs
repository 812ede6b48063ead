//! The resources that tests apply.

/// A pod of programs that can be told apart, which says so when it has begun, and waits. `labels` as in `app: web`.
pub(crate) fn pod(name: &str, labels: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{{labels}}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: testbed/split:1
    command: [sh, -c, 'echo begun; exec sleep infinity']
"
    )
}

/// A policy of the namespace that closes a file to the pods with the labels.
pub(crate) fn closes(name: &str, labels: &str, file: &str) -> String {
    format!(
        "apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{{labels}}}}}
  file: {{matchPaths: [{{path: {file}}}]}}
  action: Block
"
    )
}

/// A cluster policy that closes a file to the pods of a namespace.
pub(crate) fn closes_in(name: &str, namespace: &str, file: &str) -> String {
    format!(
        "apiVersion: security.kubearmor.com/v1
kind: KubeArmorClusterPolicy
metadata: {{name: {name}}}
spec:
  selector: {{matchExpressions: [{{key: namespace, operator: In, values: [{namespace}]}}]}}
  file: {{matchPaths: [{{path: {file}}}]}}
  action: Block
"
    )
}
