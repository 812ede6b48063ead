//! Which program may ask what of the API server.
//!
//! The installation brings these, not the operator: so the operator needs no right to give rights away.

use serde_json::{Value, json};

use super::{Installation, Object, cluster_wide, controller, secrets};
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

/// An account, what its roles are called, what it may do everywhere, and what in the namespace.
struct Account {
    name: &'static str,
    roles: &'static str,
    everywhere: Vec<Value>,
    inside: Vec<Value>,
}

pub(super) fn all(installation: &Installation) -> Vec<Object> {
    let accounts = [agent(), controller(), relay(), snitch(), operator()];
    accounts.iter().flat_map(|account| account.objects(installation)).collect()
}

impl Account {
    fn objects(&self, installation: &Installation) -> Vec<Object> {
        let (name, roles) = (self.name, self.roles);
        let subjects =
            json!([{"kind": "ServiceAccount", "name": name, "namespace": installation.namespace}]);
        let metadata = installation.named(name, name);
        let mut objects =
            vec![json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})];
        let rbac = |kind: &str, metadata: &Value| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata});
        for (rules, role, binding, metadata) in [
            (&self.everywhere, "ClusterRole", "ClusterRoleBinding", cluster_wide(roles)),
            (&self.inside, "Role", "RoleBinding", installation.named(roles, name)),
        ] {
            if rules.is_empty() {
                continue;
            }
            let mut granted = rbac(role, &metadata);
            granted["rules"] = json!(rules);
            let mut bound = rbac(binding, &metadata);
            bound["roleRef"] =
                json!({"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": roles});
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

/// It changes no workload, no policy and no annotation, and reads no Secret.
fn agent() -> Account {
    let follow = ["list", "watch"];
    Account {
        name: AGENT,
        roles: "kubearmor-agent",
        everywhere: vec![
            // Any policy may have a pod on any node. Each is told by list and watch.
            rule("security.kubearmor.com", &POLICIES, &follow),
            // Annotations of namespaces; labels and owners of the node's own pods; labels of the node. The agent asks
            // for no more, which rights cannot demand of it.
            rule("", &["namespaces", "pods", "nodes"], &follow),
            // Whether a CronJob stands behind a job.
            rule("batch", &["jobs"], &["get"]),
            // Where it tells what holds on its node. The status of policies is the controller's.
            rule("security.kubearmor.com", &["kubearmornodes"], &["create", "patch"]),
            rule("security.kubearmor.com", &["kubearmornodes/status"], &["patch"]),
        ],
        inside: vec![named("", &["configmaps"], &[labels::CONFIG_MAP_NAME], &follow)],
    }
}

/// It reads no Secret but its own, and no workload at all.
fn controller() -> Account {
    Account {
        name: CONTROLLER,
        roles: CONTROLLER,
        everywhere: vec![
            // Statuses are about all policies; what policies say is not its to change.
            rule("security.kubearmor.com", &POLICIES, &READ),
            rule(
                "security.kubearmor.com",
                &[
                    "kubearmorpolicies/status",
                    "kubearmorclusterpolicies/status",
                    "kubearmorhostpolicies/status",
                    "kubearmornetworkpolicies/status",
                ],
                &["patch"],
            ),
            rule("security.kubearmor.com", &["kubearmornodes"], &READ),
            // The API server is told which authority to trust, in this one configuration.
            named(
                "admissionregistration.k8s.io",
                &["validatingwebhookconfigurations"],
                &[controller::WEBHOOK],
                &["get", "patch"],
            ),
            // On violations, in the namespace of the policy.
            rule("", &["events"], &["get", "create", "patch"]),
        ],
        inside: vec![
            // A name cannot be demanded of what is made.
            rule("", &["secrets"], &["create"]),
            named("", &["secrets"], &[controller::SECRET], &["get", "update"]),
            rule("coordination.k8s.io", &["leases"], &["create"]),
            named("coordination.k8s.io", &["leases"], &[CONTROLLER], &["get", "update"]),
        ],
    }
}

fn relay() -> Account {
    Account {
        name: RELAY,
        roles: RELAY,
        everywhere: vec![],
        inside: vec![
            // Where the agents are.
            rule("", &["pods"], &["list", "watch"]),
            // One of each replica, renewed by it; it sees those of the others, and removes those that nobody renews.
            rule("coordination.k8s.io", &["leases"], &["create", "patch", "list", "delete"]),
        ],
    }
}

fn snitch() -> Account {
    Account { name: SNITCH, roles: SNITCH, everywhere: vec![], inside: vec![] }
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
        roles: OPERATOR,
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
            rule("policy", &["poddisruptionbudgets"], &WRITE),
            rule("", &["services", "configmaps"], &WRITE),
            rule("", &["pods"], &READ),
            rule("", &["secrets"], &["create"]),
            named("", &["secrets"], &secrets(), &["get", "patch", "update"]),
        ],
    }
}
