//! Which program may ask what of the API server.
//!
//! The installation brings these, not the operator: so the operator needs no right to give rights away.

use serde_json::{Value, json};

use super::{Installation, Object, cluster_wide, secrets};
use crate::labels;

pub(super) const AGENT: &str = "kubearmor";
pub(super) const RELAY: &str = "kubearmor-relay";
pub(super) const CONTROLLER: &str = "kubearmor-controller";
pub(super) const SNITCH: &str = "kubearmor-snitch";
const OPERATOR: &str = labels::OPERATOR;

const POLICIES: [&str; 4] = [
    "kubearmorpolicies",
    "kubearmorclusterpolicies",
    "kubearmorhostpolicies",
    "kubearmornetworkpolicies",
];
const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];

/// An account, what it may do everywhere, and what in the namespace.
struct Account {
    name: &'static str,
    everywhere: Vec<Value>,
    inside: Vec<Value>,
}

pub(super) fn all(installation: &Installation) -> Vec<Object> {
    let accounts = [agent(), controller(), relay(), snitch(), operator()];
    accounts.iter().flat_map(|account| account.objects(installation)).collect()
}

impl Account {
    fn objects(&self, installation: &Installation) -> Vec<Object> {
        let name = self.name;
        let subjects =
            json!([{"kind": "ServiceAccount", "name": name, "namespace": installation.namespace}]);
        let metadata = installation.named(name, name);
        let mut objects =
            vec![json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})];
        let rbac = |kind: &str, metadata: &Value| {
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata})
        };
        for (rules, role, binding, metadata) in [
            (&self.everywhere, "ClusterRole", "ClusterRoleBinding", cluster_wide(name)),
            (&self.inside, "Role", "RoleBinding", metadata.clone()),
        ] {
            if rules.is_empty() {
                continue;
            }
            let mut granted = rbac(role, &metadata);
            granted["rules"] = json!(rules);
            let mut bound = rbac(binding, &metadata);
            bound["roleRef"] =
                json!({"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": name});
            bound["subjects"] = subjects.clone();
            objects.extend([granted, bound]);
        }
        objects
    }
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

fn named(group: &str, resources: &[&str], names: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "resourceNames": names, "verbs": verbs})
}

fn agent() -> Account {
    Account {
        name: AGENT,
        everywhere: vec![
            // Whom policies select, and by whose name events are told.
            rule("", &["pods", "nodes", "namespaces"], &READ),
            rule("apps", &["deployments", "replicasets", "statefulsets", "daemonsets"], &READ),
            rule("batch", &["jobs", "cronjobs"], &READ),
            rule("security.kubearmor.com", &POLICIES, &READ),
            // What is in force on the node. Status of policies is the controller's.
            rule("security.kubearmor.com", &["kubearmornodes"], &["get", "create", "patch", "update"]),
            rule("security.kubearmor.com", &["kubearmornodes/status"], &["get", "patch", "update"]),
        ],
        inside: vec![rule("", &["configmaps"], &READ)],
    }
}

fn controller() -> Account {
    Account {
        name: CONTROLLER,
        everywhere: vec![
            rule("", &["pods", "nodes", "namespaces"], &READ),
            rule("security.kubearmor.com", &POLICIES, &READ),
            rule(
                "security.kubearmor.com",
                &POLICIES.map(|policy| format!("{policy}/status")).each_ref().map(String::as_str),
                &["get", "patch", "update"],
            ),
            // Those of nodes that are gone are removed.
            rule("security.kubearmor.com", &["kubearmornodes", "kubearmornodes/status"], &["get", "list", "watch", "delete"]),
            rule("events.k8s.io", &["events"], &["create", "patch"]),
            rule("", &["events"], &["create", "patch"]),
            rule(
                "admissionregistration.k8s.io",
                &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
                &["get", "list", "watch", "create", "update", "patch"],
            ),
        ],
        inside: vec![
            rule("coordination.k8s.io", &["leases"], &["get", "list", "watch", "create", "update", "patch"]),
            rule("", &["secrets"], &["create"]),
            named(
                "",
                &["secrets"],
                &["kubearmor-controller-webhook-server-cert"],
                &["get", "list", "watch", "update", "patch"],
            ),
        ],
    }
}

fn relay() -> Account {
    // Where the agents are.
    Account { name: RELAY, everywhere: vec![], inside: vec![rule("", &["pods"], &READ)] }
}

fn snitch() -> Account {
    Account { name: SNITCH, everywhere: vec![], inside: vec![] }
}

fn operator() -> Account {
    let definitions = [
        "kubearmorclusterpolicies.security.kubearmor.com",
        "kubearmorconfigs.operator.kubearmor.com",
        "kubearmorhostpolicies.security.kubearmor.com",
        "kubearmornetworkpolicies.security.kubearmor.com",
        "kubearmornodes.security.kubearmor.com",
        "kubearmorpolicies.security.kubearmor.com",
    ];
    Account {
        name: OPERATOR,
        everywhere: vec![
            // Labels of what snitch has found.
            rule("", &["nodes"], &["get", "list", "watch", "patch"]),
            rule("apiextensions.k8s.io", &["customresourcedefinitions"], &["create"]),
            named(
                "apiextensions.k8s.io",
                &["customresourcedefinitions"],
                &definitions,
                &["get", "patch"],
            ),
            // The recommended ones.
            rule("security.kubearmor.com", &["kubearmorclusterpolicies"], &WRITE),
        ],
        inside: vec![
            rule("operator.kubearmor.com", &["kubearmorconfigs"], &READ),
            rule("operator.kubearmor.com", &["kubearmorconfigs/status"], &["get", "patch"]),
            rule("apps", &["deployments", "daemonsets"], &WRITE),
            rule("batch", &["jobs"], &WRITE),
            rule("", &["services", "configmaps"], &WRITE),
            rule("", &["pods"], &READ),
            rule("", &["secrets"], &["create"]),
            named("", &["secrets"], &secrets(), &["get", "patch", "update"]),
        ],
    }
}
