//! Which policies concern which workload.

use policy::{
    Expression, ExpressionKey, HOSTNAME_PATTERN_KEYS, Kind, NameChoice, Operator, Policy, Selector,
    host_pattern, name_choices, whole_name,
};

use crate::{Workload, WorkloadKind};

/// The namespace of containers that run outside Kubernetes and name none.
pub const CONTAINER_NAMESPACE: &str = "container_namespace";
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// The label that names containers instead of describing them.
pub(crate) const CONTAINER_NAME_KEY: &str = "kubearmor.io/container.name";
pub(crate) const HOSTNAME_KEYS: [&str; 2] = ["kubearmor.io/hostname", "kubernetes.io/hostname"];

/// Whether the policy concerns the workload.
pub fn select(policy: &Policy, workload: &Workload) -> bool {
    let selector = &policy.spec.selector;
    match (policy.id.kind, workload.kind) {
        (Kind::Container, WorkloadKind::Container) => {
            let namespace = policy.id.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
            workload.is_in(namespace) && selects_container(selector, workload)
        }
        (Kind::Cluster, WorkloadKind::Container) => selects_container(selector, workload),
        (Kind::Host | Kind::Network, WorkloadKind::Host) => selects_host(selector, workload),
        _ => false,
    }
}

fn selects_container(selector: &Selector, workload: &Workload) -> bool {
    selector.match_labels.iter().all(|(key, value)| workload.has_label(key, value))
        && selector.expressions.iter().all(|expression| expression_holds(expression, workload))
        && selector.containers.as_deref().is_none_or(|filter| names_container(filter, workload))
}

fn selects_host(selector: &Selector, workload: &Workload) -> bool {
    selector.match_labels.iter().all(|(key, value)| match key.as_str() {
        key if is_hostname_key(key) => host_label_holds(key, value, workload),
        key => workload.has_label(key, value),
    }) && selector.expressions.iter().all(|expression| expression_holds(expression, workload))
}

pub(crate) fn is_hostname_key(key: &str) -> bool {
    HOSTNAME_KEYS.contains(&key) || HOSTNAME_PATTERN_KEYS.contains(&key)
}

/// Whether a label that stands for the host's name holds.
pub(crate) fn host_label_holds(key: &str, value: &str, workload: &Workload) -> bool {
    if HOSTNAME_KEYS.contains(&key) {
        return names_host(key, value, workload);
    }
    host_pattern(value).is_ok_and(|pattern| pattern.is_match(&workload.name))
}

/// One name, `*`, or a comma list.
fn names_host(key: &str, value: &str, workload: &Workload) -> bool {
    value
        .split(',')
        .map(str::trim)
        .any(|name| name == "*" || name == workload.name || workload.has_label(key, name))
}

pub(crate) fn expression_holds(expression: &Expression, workload: &Workload) -> bool {
    let listed = expression.values.iter().any(|value| match expression.key {
        ExpressionKey::Namespace => workload.is_in(value),
        ExpressionKey::Label => value.split_once('=').is_some_and(|(key, value)| {
            if names_containers(workload.kind, key) {
                names_container(value, workload)
            } else {
                workload.has_label(key, value)
            }
        }),
    });
    match expression.operator {
        Operator::In => listed,
        Operator::NotIn => !listed,
    }
}

/// Whether the key is no label there, but stands for the container's name.
pub(crate) fn names_containers(kind: WorkloadKind, key: &str) -> bool {
    kind == WorkloadKind::Container && key == CONTAINER_NAME_KEY
}

/// Whether a filter for names of containers takes the workload's.
pub(crate) fn names_container(filter: &str, workload: &Workload) -> bool {
    let choices = name_choices(filter);
    choices.is_empty()
        || choices.iter().any(|choice| match choice {
            NameChoice::Plain(name) => *name == workload.name,
            NameChoice::Expression(text) => {
                whole_name(text).is_ok_and(|expression| expression.is_match(&workload.name))
            }
        })
}

impl Workload {
    pub(crate) fn has_label(&self, key: &str, value: &str) -> bool {
        self.labels.get(key).is_some_and(|found| found == value)
    }

    /// A container outside Kubernetes that names no namespace is in the default one under two names.
    pub(crate) fn is_in(&self, namespace: &str) -> bool {
        self.namespace == namespace
            || self.namespace == CONTAINER_NAMESPACE && namespace == DEFAULT_NAMESPACE
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use policy::{Action, Attributes, PolicyId, Spec};

    use super::*;

    fn policy(kind: Kind, namespace: Option<&str>, selector: Selector) -> Policy {
        let attributes = Attributes {
            severity: None,
            tags: vec![],
            message: String::new(),
            action: Action::Block,
        };
        let spec = Spec {
            selector,
            attributes,
            process: vec![],
            file: vec![],
            protocols: vec![],
            dns: vec![],
            capabilities: vec![],
            syscalls: vec![],
            presets: vec![],
            devices: vec![],
            apparmor: None,
            firewall: vec![],
            firewall_level: policy::FirewallLevel::default(),
        };
        let id = PolicyId { kind, namespace: namespace.map(str::to_owned), name: "p".into() };
        Policy { id, spec }
    }

    fn workload(
        kind: WorkloadKind,
        name: &str,
        namespace: &str,
        labels: &[(&str, &str)],
    ) -> Workload {
        let labels = labels.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        Workload { kind, name: name.into(), namespace: namespace.into(), labels }
    }

    fn container(name: &str, namespace: &str, labels: &[(&str, &str)]) -> Workload {
        workload(WorkloadKind::Container, name, namespace, labels)
    }

    fn labelled(labels: &[(&str, &str)]) -> Selector {
        let match_labels: BTreeMap<_, _> =
            labels.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        Selector { match_labels, ..Selector::default() }
    }

    fn expression(key: ExpressionKey, operator: Operator, values: &[&str]) -> Expression {
        Expression { key, operator, values: values.iter().map(|&v| v.to_owned()).collect() }
    }

    #[test]
    fn an_empty_selector_takes_the_namespace_and_no_other() {
        let all = policy(Kind::Container, Some("shop"), Selector::default());
        assert!(select(&all, &container("c", "shop", &[])));
        assert!(!select(&all, &container("c", "lab", &[])));
        assert!(!select(&all, &workload(WorkloadKind::Host, "shop", "shop", &[])));
    }

    #[test]
    fn without_a_namespace_both_sides_mean_the_default_one() {
        let unnamed = container("c", CONTAINER_NAMESPACE, &[]);
        for namespace in [None, Some("default"), Some(CONTAINER_NAMESPACE)] {
            assert!(select(&policy(Kind::Container, namespace, Selector::default()), &unnamed));
        }
        let absent = policy(Kind::Container, None, Selector::default());
        assert!(select(&absent, &container("c", "default", &[])));
        assert!(!select(&absent, &container("c", "shop", &[])));
    }

    #[test]
    fn labels_and_all_expressions_are_anded() {
        let mut selector = labelled(&[("app", "web")]);
        selector.expressions = vec![
            expression(ExpressionKey::Label, Operator::In, &["tier=a", "tier=b"]),
            expression(ExpressionKey::Label, Operator::NotIn, &["stage=dev"]),
        ];
        let policy = policy(Kind::Container, Some("default"), selector);
        let selects = |labels: &[(&str, &str)]| select(&policy, &container("c", "default", labels));
        assert!(selects(&[("app", "web"), ("tier", "b")]));
        assert!(!selects(&[("app", "web"), ("tier", "c")]));
        assert!(!selects(&[("app", "web"), ("tier", "b"), ("stage", "dev")]));
        assert!(!selects(&[("tier", "b")]));
    }

    #[test]
    fn a_cluster_policy_picks_namespaces() {
        let expressions = vec![
            expression(ExpressionKey::Namespace, Operator::NotIn, &["lab"]),
            expression(ExpressionKey::Label, Operator::In, &["role=front"]),
        ];
        let selector = Selector { expressions, ..Selector::default() };
        let policy = policy(Kind::Cluster, None, selector);
        assert!(select(&policy, &container("c", "shop", &[("role", "front")])));
        assert!(!select(&policy, &container("c", "lab", &[("role", "front")])));
        assert!(!select(&policy, &container("c", "shop", &[("role", "back")])));
    }

    #[test]
    fn container_names_bare_listed_bracketed_or_as_expression() {
        let selects = |filter: &str, name: &str| {
            let selector = Selector { containers: Some(filter.into()), ..Selector::default() };
            let policy = policy(Kind::Container, Some("default"), selector);
            select(&policy, &container(name, "default", &[]))
        };
        assert!(selects("main", "main"));
        assert!(!selects("main", "main2"));
        assert!(selects("main,sidecar", "sidecar"));
        assert!(selects("[sidecar, extra]", "extra"));
        assert!(!selects("[sidecar, extra]", "s"));
        assert!(selects("[]", "any"));
        assert!(selects("worker-[0-9]+", "worker-22"));
        assert!(!selects("worker-[0-9]+", "my-worker-22"));
        assert!(selects("web-[0-9]{1,2}", "web-12"));
        assert!(!selects("a.b", "axb"));
        assert!(!selects("(", "x"));
    }

    #[test]
    fn a_bracketed_list_may_hold_expressions() {
        let selects =
            |filter: &str, name: &str| names_container(filter, &container(name, "default", &[]));
        assert!(selects("[worker-[0-9]+, db]", "worker-22"));
        assert!(selects("[worker-[0-9]+, db]", "db"));
        assert!(!selects("[worker-[0-9]+, db]", "worker-x"));
        // No list, but an expression that begins and ends in a class.
        assert!(selects("[a-c]x[0-9]", "bx7"));
        assert!(!selects("[a-c]x[0-9]", "dx7"));
    }

    #[test]
    fn expressions_may_name_containers() {
        let selects = |operator, values: &[&str], name: &str| {
            let expressions = vec![expression(ExpressionKey::Label, operator, values)];
            let selector = Selector { expressions, ..Selector::default() };
            select(&policy(Kind::Container, None, selector), &container(name, "default", &[]))
        };
        let web = ["kubearmor.io/container.name=web", "app=x"];
        assert!(selects(Operator::In, &web, "web"));
        assert!(!selects(Operator::In, &web, "db"));
        assert!(!selects(Operator::NotIn, &web, "web"));
        assert!(selects(Operator::NotIn, &web, "db"));
        assert!(selects(Operator::In, &["kubearmor.io/container.name=w[a-f]+"], "web"));
    }

    #[test]
    fn hosts_by_name_and_label() {
        let host = workload(WorkloadKind::Host, "node-7", "", &[("zone", "a")]);
        let selects = |key: &str, value: &str| {
            select(&policy(Kind::Host, None, labelled(&[(key, value)])), &host)
        };
        assert!(selects("kubearmor.io/hostname", "node-7"));
        assert!(selects("kubernetes.io/hostname", "*"));
        assert!(selects("kubearmor.io/hostname", "node-1, node-7"));
        assert!(!selects("kubearmor.io/hostname", "node-1"));
        assert!(selects("kubearmor.io/hostnamereg", "node-*"));
        assert!(selects("zone", "a"));
        assert!(!selects("zone", "b"));
        assert!(select(&policy(Kind::Host, None, Selector::default()), &host));
        assert!(!select(&policy(Kind::Container, None, Selector::default()), &host));
        let container = container("c", "default", &[]);
        assert!(!select(&policy(Kind::Host, None, Selector::default()), &container));
    }
}
