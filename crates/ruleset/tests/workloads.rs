//! Every workload is selected like one of the witnesses.

use std::collections::BTreeSet;

use policy::Policy;
use proptest::{collection, option, prelude::*, sample};
use ruleset::{Workload, WorkloadKind, select, workload_classes};

const KEYS: [&str; 3] = ["app", "tier", "zone"];
const VALUES: [&str; 3] = ["a", "b", "c"];
const NAMESPACES: [&str; 3] = ["default", "shop", "lab"];
const NAMES: [&str; 5] = ["web", "web-1", "web-22", "db", "x"];
const FILTERS: [&str; 6] = ["web", "web,db", "[db, x]", "web-[0-9]+", "web-.*", "[]"];

fn pair() -> impl Strategy<Value = (&'static str, &'static str)> {
    let labels = (sample::select(KEYS.to_vec()), sample::select(VALUES.to_vec()));
    let names = (Just("kubearmor.io/container.name"), sample::select(FILTERS.to_vec()));
    prop_oneof![6 => labels, 1 => names]
}

fn expression() -> impl Strategy<Value = String> {
    let operator = || sample::select(vec!["In", "NotIn"]);
    let labels = (operator(), collection::vec(pair(), 1..3)).prop_map(|(operator, pairs)| {
        let values: Vec<_> = pairs.iter().map(|(key, value)| format!("'{key}={value}'")).collect();
        format!("{{key: label, operator: {operator}, values: [{}]}}", values.join(", "))
    });
    let namespaces =
        (operator(), sample::select(NAMESPACES.to_vec())).prop_map(|(operator, value)| {
            format!("{{key: namespace, operator: {operator}, values: [{value}]}}")
        });
    prop_oneof![3 => labels, 1 => namespaces]
}

fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let one = (
        sample::select(vec!["KubeArmorPolicy", "KubeArmorClusterPolicy", "KubeArmorHostPolicy"]),
        option::of(sample::select(NAMESPACES.to_vec())),
        collection::btree_map(sample::select(KEYS.to_vec()), sample::select(VALUES.to_vec()), 0..2),
        collection::vec(expression(), 0..3),
        option::weighted(0.3, sample::select(FILTERS.to_vec())),
        option::weighted(0.3, sample::select(vec!["web", "web-1,db", "*"])),
    );
    collection::vec(one, 1..5).prop_map(|policies| {
        let text = |(kind, namespace, labels, expressions, filter, host): (&str, Option<&str>, _, Vec<String>, Option<&str>, Option<&str>)| {
            let labels: std::collections::BTreeMap<&str, &str> = labels;
            let mut labels: Vec<_> =
                labels.iter().map(|(key, value)| format!("{key}: {value}")).collect();
            let of_host = kind == "KubeArmorHostPolicy";
            if of_host {
                labels.extend(host.map(|host| format!("kubernetes.io/hostname: '{host}'")));
            } else {
                labels.extend(filter.map(|text| format!("kubearmor.io/container.name: '{text}'")));
            }
            let cluster = kind == "KubeArmorClusterPolicy";
            let expressions: Vec<_> =
                expressions.into_iter().filter(|e| cluster || e.contains("label")).collect();
            let selector = if of_host { "nodeSelector" } else { "selector" };
            let namespace = namespace.map(|n| format!(", namespace: {n}")).unwrap_or_default();
            format!(
                "kind: {kind}\nmetadata: {{name: p{namespace}}}\nspec: {{{selector}: {{matchLabels: {{{}}}, \
                 matchExpressions: [{}]}}, file: {{matchPaths: [{{path: /a}}]}}}}\n",
                labels.join(", "),
                expressions.join(", ")
            )
        };
        let texts: Vec<_> = policies.into_iter().map(text).collect();
        let parsed = policy::parse(&texts.join("---\n"), "generated");
        assert!(!parsed.has_errors(), "{:?}", parsed.diagnostics);
        parsed.policies
    })
}

fn workload() -> impl Strategy<Value = Workload> {
    let labels =
        collection::btree_map(sample::select(KEYS.to_vec()), sample::select(VALUES.to_vec()), 0..4);
    let namespaces = [&NAMESPACES[..], &["container_namespace", "elsewhere"]].concat();
    (any::<bool>(), sample::select(NAMES.to_vec()), sample::select(namespaces), labels).prop_map(
        |(host, name, namespace, labels)| {
            let mut labels: std::collections::BTreeMap<String, String> =
                labels.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            if host {
                labels.insert("kubernetes.io/hostname".into(), name.into());
                labels.insert("kubearmor.io/hostname".into(), name.into());
            }
            Workload {
                kind: if host { WorkloadKind::Host } else { WorkloadKind::Container },
                name: name.into(),
                namespace: if host { String::new() } else { namespace.into() },
                labels,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_way_to_be_selected_is_forgotten(
        policies in policies(),
        workloads in collection::vec(workload(), 30),
        first in any::<bool>(),
    ) {
        let policies: Vec<&Policy> = policies.iter().collect();
        let interesting: BTreeSet<usize> = if first { [0].into() } else { (0..policies.len()).collect() };
        let found = workload_classes(&policies, &interesting);
        prop_assert!(found.complete);
        let selected = |workload: &Workload| -> Vec<usize> {
            (0..policies.len()).filter(|&index| select(policies[index], workload)).collect()
        };
        for class in &found.classes {
            prop_assert_eq!(&selected(&class.workload), &class.selected);
        }
        for workload in &workloads {
            let selected = selected(workload);
            let wanted = selected.iter().any(|index| interesting.contains(index));
            let known = found.classes.iter().any(|class| class.selected == selected);
            prop_assert_eq!(wanted, known, "{:?}", workload);
        }
    }
}
