//! What `reach` says of two policies holds for every workload.

use policy::{Policy, parse};
use proptest::{collection, option, prelude::*, sample};
use ruleset::{Reach, Workload, WorkloadKind, reach, select};

const KEYS: [&str; 2] = ["app", "tier"];
const VALUES: [&str; 3] = ["x", "y", "z"];
const NAMESPACES: [&str; 3] = ["default", "shop", "container_namespace"];
const CONTAINERS: [&str; 5] = ["main", "side", "[main, side]", "ma.*", "[]"];

fn labels() -> impl Strategy<Value = String> {
    let label = (sample::select(KEYS.to_vec()), sample::select(VALUES.to_vec()));
    collection::btree_map(label.0, label.1, 0..3).prop_map(|labels| {
        let labels: Vec<_> =
            labels.into_iter().map(|(key, value)| format!("{key}: {value}, ")).collect();
        labels.concat()
    })
}

fn expression(cluster: bool) -> impl Strategy<Value = String> {
    let labels = (sample::select(KEYS.to_vec()), sample::select(VALUES.to_vec()))
        .prop_map(|(key, value)| format!("{key}={value}"));
    let names = sample::select(CONTAINERS.to_vec())
        .prop_map(|name| format!("'kubearmor.io/container.name={name}'"));
    let labels = prop_oneof![4 => labels, 1 => names];
    let labels = collection::vec(labels, 1..4).prop_map(|values| ("label", values));
    let namespaces = sample::select(NAMESPACES.to_vec()).prop_map(str::to_owned);
    let namespaces = collection::vec(namespaces, 1..3).prop_map(|values| ("namespace", values));
    let key = prop_oneof![2 => labels, u32::from(cluster) => namespaces];
    (key, sample::select(vec!["In", "NotIn"])).prop_map(|((key, values), operator)| {
        format!("{{key: {key}, operator: {operator}, values: [{}]}}, ", values.join(", "))
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    any::<bool>().prop_flat_map(|cluster| {
        let parts = (
            labels(),
            collection::vec(expression(cluster), 0..3),
            option::weighted(0.3, sample::select(CONTAINERS.to_vec())),
            option::weighted(0.7, sample::select(NAMESPACES.to_vec())),
        );
        parts.prop_map(move |(labels, expressions, container, namespace)| {
            let kind = if cluster { "KubeArmorClusterPolicy" } else { "KubeArmorPolicy" };
            let container = container.map(|c| format!("kubearmor.io/container.name: '{c}'"));
            let namespace = namespace.filter(|_| !cluster).map(|n| format!(", namespace: {n}"));
            let text = format!(
                "kind: {kind}\nmetadata: {{name: p{}}}\nspec:\n  selector:\n    matchLabels: {{{labels}{}}}\n    \
                 matchExpressions: [{}]\n  file: {{matchPaths: [{{path: /a}}]}}\n",
                namespace.unwrap_or_default(),
                container.unwrap_or_default(),
                expressions.concat(),
            );
            parse(&text, "p").policies.remove(0)
        })
    })
}

fn workloads() -> Vec<Workload> {
    let values = || [None].into_iter().chain(VALUES.map(Some));
    let mut workloads = vec![];
    for namespace in ["default", "shop", "container_namespace", "lab"] {
        for name in ["main", "side", "other"] {
            for app in values() {
                for tier in values() {
                    let labels = [("app", app), ("tier", tier)];
                    let labels = labels
                        .iter()
                        .filter_map(|(k, v)| Some(((*k).to_owned(), (*v)?.to_owned())));
                    workloads.push(Workload {
                        kind: WorkloadKind::Container,
                        name: name.to_owned(),
                        namespace: namespace.to_owned(),
                        labels: labels.collect(),
                    });
                }
            }
        }
    }
    workloads
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn always_and_never_are_certain(one in policy(), two in policy()) {
        let said = reach(&one, &two);
        for workload in workloads().iter().filter(|workload| select(&one, workload)) {
            let both = select(&two, workload);
            match said {
                Reach::Always => prop_assert!(both, "{workload:?}"),
                Reach::Never => prop_assert!(!both, "{workload:?}"),
                Reach::Sometimes => {}
            }
        }
    }

    #[test]
    fn a_policy_is_always_with_itself(policy in policy()) {
        let selects = workloads().iter().any(|workload| select(&policy, workload));
        prop_assert!(!selects || reach(&policy, &policy) == Reach::Always);
    }
}
