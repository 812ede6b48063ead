//! What is to be done, from what is there. Pure.

use std::collections::{BTreeMap, BTreeSet};

use manifests::{
    Installation, KubeArmorConfig, KubeArmorConfigSpec, NodeKind, Object, Phase, agent, components,
    labels, snitch,
};

/// A node as the API server tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) labels: BTreeMap<String, String>,
    /// The id of the machine's start.
    pub(crate) boot: String,
    /// Of which start the labels are.
    pub(crate) looked_at: String,
    /// Such as `containerd`.
    pub(crate) runtime: String,
    pub(crate) linux: bool,
}

/// The last words of a snitch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) boot: String,
    /// `Err`: it ended otherwise, and how.
    pub(crate) labels: Result<BTreeMap<String, String>, String>,
}

/// Everything that a plan is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Those of the operator's namespace.
    pub(crate) configs: Vec<KubeArmorConfig>,
    pub(crate) nodes: BTreeMap<String, Node>,
    /// By the name of the node.
    pub(crate) told: BTreeMap<String, Told>,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The configuration in force.
    pub(crate) spec: Option<KubeArmorConfigSpec>,
    /// Labels for nodes, and of which start of the machine.
    pub(crate) labels: BTreeMap<String, (BTreeMap<String, String>, String)>,
    /// In the order in which they are applied. What the operator has applied and is not among them goes.
    pub(crate) objects: Vec<Object>,
    /// By the name of the configuration.
    pub(crate) status: Vec<(String, Phase, String)>,
}

/// The plan. Without a configuration there is to be nothing.
pub(crate) fn plan(installation: &Installation, seen: &Seen) -> Plan {
    let mut configs: Vec<&KubeArmorConfig> = seen.configs.iter().collect();
    // The oldest one; of two of one second, the first by name.
    configs.sort_by_key(|config| {
        (
            config.metadata.creation_timestamp.clone().map(|time| time.0),
            config.metadata.name.clone(),
        )
    });
    let Some((config, others)) = configs.split_first() else { return Plan::default() };
    let mut plan = Plan { spec: Some(config.spec.clone()), ..Plan::default() };
    let in_force = config.metadata.name.clone().unwrap_or_default();
    let (kinds, waiting, failed) = look(installation, seen, &config.spec, &mut plan);
    plan.objects.extend(components(installation, &config.spec));
    plan.objects.extend(kinds.iter().map(|kind| agent(installation, &config.spec, Some(kind))));
    let (phase, message) = state(seen, kinds.len(), waiting, &failed);
    plan.status.push((in_force.clone(), phase, message));
    for other in others {
        let name = other.metadata.name.clone().unwrap_or_default();
        let message = format!("not heeded: {in_force} is older, and there can be one only");
        plan.status.push((name, Phase::Error, message));
    }
    plan
}

/// Jobs and labels for nodes that have started since somebody looked; all kinds, the number of nodes that are waited for,
/// and those that could not be looked at.
fn look(
    installation: &Installation,
    seen: &Seen,
    spec: &KubeArmorConfigSpec,
    plan: &mut Plan,
) -> (BTreeSet<NodeKind>, usize, Vec<String>) {
    let (mut kinds, mut waiting, mut failed) = (BTreeSet::new(), 0, Vec::new());
    for (name, node) in seen.nodes.iter().filter(|(_, node)| node.linux) {
        let mut current = node.labels.clone();
        if node.looked_at != node.boot {
            match seen.told.get(name).filter(|told| told.boot == node.boot) {
                Some(Told { labels: Ok(labels), .. }) => {
                    current.retain(|label, _| !labels::OF_NODES.contains(&label.as_str()));
                    current.extend(labels.clone());
                    plan.labels.insert(name.clone(), (labels.clone(), node.boot.clone()));
                }
                told => {
                    if let Some(Told { labels: Err(problem), .. }) = told {
                        failed.push(format!("{name}: {problem}"));
                    }
                    waiting += 1;
                    let job = snitch(installation, spec, name, &node.boot, &node.runtime);
                    plan.objects.push(job);
                }
            }
        }
        kinds.extend(NodeKind::of(&current));
    }
    (kinds, waiting, failed)
}

fn state(seen: &Seen, kinds: usize, waiting: usize, failed: &[String]) -> (Phase, String) {
    let nodes = seen.nodes.values().filter(|node| node.linux).count();
    if let Some(first) = failed.first() {
        let message = format!("{} of {nodes} nodes could not be looked at; {first}", failed.len());
        return (Phase::Error, message);
    }
    if waiting > 0 {
        return (Phase::Pending, format!("{waiting} of {nodes} nodes are being looked at"));
    }
    (Phase::Running, format!("{nodes} nodes of {kinds} kinds"))
}

/// The labels that a snitch may give to its node: ours alone, and such as a label can hold.
pub(crate) fn labels_told(message: &str) -> Result<BTreeMap<String, String>, String> {
    let all: BTreeMap<String, String> = serde_json::from_str(message)
        .map_err(|problem| format!("snitch told something else: {problem}"))?;
    for (label, value) in &all {
        let fits = value.len() <= 63
            && value.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        if !labels::OF_NODES.contains(&label.as_str()) || !fits {
            return Err(format!("snitch told a label that is none of its own: {label}"));
        }
    }
    for label in [labels::ENFORCER, labels::RUNTIME] {
        if all.get(label).is_none_or(String::is_empty) {
            return Err(format!("snitch did not tell {label}"));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(name: &str, second: u32, spec: &serde_json::Value) -> KubeArmorConfig {
        serde_json::from_value(json!({
            "apiVersion": "operator.kubearmor.com/v1",
            "kind": "KubeArmorConfig",
            "metadata": {
                "name": name,
                "namespace": "kubearmor",
                "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z"),
            },
            "spec": spec,
        }))
        .unwrap()
    }

    fn told(enforcer: &str) -> BTreeMap<String, String> {
        let labels =
            [(labels::ENFORCER, enforcer), (labels::RUNTIME, "containerd"), (labels::BTF, "yes")];
        labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into()
    }

    fn node(boot: &str, looked_at: &str, labels: BTreeMap<String, String>) -> Node {
        let (boot, looked_at) = (boot.to_owned(), looked_at.to_owned());
        Node { labels, boot, looked_at, runtime: "containerd".into(), linux: true }
    }

    fn planned(seen: &Seen) -> Plan {
        plan(&Installation::default(), seen)
    }

    fn of_kind<'p>(plan: &'p Plan, kind: &str) -> Vec<&'p str> {
        let objects = plan.objects.iter().filter(|object| object["kind"] == kind);
        objects.filter_map(|object| object["metadata"]["name"].as_str()).collect()
    }

    #[test]
    fn without_a_configuration_there_is_nothing() {
        let seen = Seen {
            nodes: [("a".into(), node("1", "", BTreeMap::new()))].into(),
            ..Seen::default()
        };
        let plan = planned(&seen);
        assert!(plan.objects.is_empty() && plan.labels.is_empty() && plan.spec.is_none());
    }

    #[test]
    fn a_new_node_is_looked_at_then_labelled_then_served() {
        let mut seen = Seen { configs: vec![config("c", 0, &json!({}))], ..Seen::default() };
        seen.nodes.insert("a".into(), node("1", "", BTreeMap::new()));
        let first = planned(&seen);
        assert_eq!(of_kind(&first, "Job").len(), 1);
        assert_eq!(of_kind(&first, "DaemonSet"), Vec::<&str>::new());
        assert_eq!(first.status[0].1, Phase::Pending);

        seen.told.insert("a".into(), Told { boot: "1".into(), labels: Ok(told("bpf")) });
        let second = planned(&seen);
        assert_eq!(of_kind(&second, "Job"), Vec::<&str>::new());
        assert_eq!(second.labels["a"], (told("bpf"), "1".to_owned()));
        assert_eq!(of_kind(&second, "DaemonSet").len(), 1);

        seen.nodes.insert("a".into(), node("1", "1", told("bpf")));
        let third = planned(&seen);
        assert!(third.labels.is_empty());
        assert_eq!(of_kind(&third, "DaemonSet"), of_kind(&second, "DaemonSet"));
        assert_eq!(third.status[0].1, Phase::Running);
    }

    #[test]
    fn a_node_that_restarts_keeps_its_agents_while_it_is_looked_at() {
        let mut seen = Seen { configs: vec![config("c", 0, &json!({}))], ..Seen::default() };
        seen.nodes.insert("a".into(), node("2", "1", told("bpf")));
        // What is told is of the start before.
        seen.told.insert("a".into(), Told { boot: "1".into(), labels: Ok(told("apparmor")) });
        let plan = planned(&seen);
        assert_eq!(of_kind(&plan, "Job").len(), 1);
        assert!(of_kind(&plan, "DaemonSet")[0].starts_with("kubearmor-bpf-"));
        assert!(plan.labels.is_empty());
    }

    #[test]
    fn nodes_of_two_kinds_have_two_sets_of_agents() {
        let mut seen = Seen { configs: vec![config("c", 0, &json!({}))], ..Seen::default() };
        for (name, enforcer) in [("a", "bpf"), ("b", "apparmor"), ("c", "bpf")] {
            seen.nodes.insert(name.into(), node("1", "1", told(enforcer)));
        }
        let windows = Node { linux: false, ..node("1", "", BTreeMap::new()) };
        seen.nodes.insert("w".into(), windows);
        let plan = planned(&seen);
        assert_eq!(of_kind(&plan, "DaemonSet").len(), 2);
        assert_eq!(
            plan.status,
            [("c".to_owned(), Phase::Running, "3 nodes of 2 kinds".to_owned())]
        );
    }

    #[test]
    fn the_oldest_configuration_is_heeded_and_the_others_are_told() {
        let old = config("old", 1, &json!({"defaultFilePosture": "block"}));
        let seen = Seen { configs: vec![config("new", 2, &json!({})), old], ..Seen::default() };
        let plan = planned(&seen);
        assert_eq!(plan.spec.unwrap().default_file_posture.as_deref(), Some("block"));
        assert_eq!((&*plan.status[1].0, plan.status[1].1), ("new", Phase::Error));
    }

    #[test]
    fn a_node_that_could_not_be_looked_at_is_named() {
        let mut seen = Seen { configs: vec![config("c", 0, &json!({}))], ..Seen::default() };
        seen.nodes.insert("a".into(), node("1", "", BTreeMap::new()));
        let labels = Err("exit status 1".to_owned());
        seen.told.insert("a".into(), Told { boot: "1".into(), labels });
        let (_, phase, message) = &planned(&seen).status[0];
        assert_eq!(*phase, Phase::Error);
        assert!(message.contains("a: exit status 1"), "{message}");
    }

    #[test]
    fn recommended_policies_are_there_when_asked_for() {
        let with = Seen {
            configs: vec![config("c", 0, &json!({"recommendedPolicies": {"enable": true}}))],
            ..Seen::default()
        };
        assert_eq!(
            of_kind(&planned(&with), "KubeArmorClusterPolicy").len(),
            manifests::RECOMMENDED.len()
        );
        let without = Seen { configs: vec![config("c", 0, &json!({}))], ..Seen::default() };
        assert!(of_kind(&planned(&without), "KubeArmorClusterPolicy").is_empty());
    }

    #[test]
    fn a_snitch_gives_no_labels_but_its_own() {
        assert!(labels_told(&serde_json::to_string(&told("bpf")).unwrap()).is_ok());
        for bad in [
            r#"{"kubearmor.io/enforcer": "bpf", "kubearmor.io/runtime": "x", "node-role.kubernetes.io/control-plane": ""}"#,
            r#"{"kubearmor.io/enforcer": "b pf", "kubearmor.io/runtime": "x"}"#,
            r#"{"kubearmor.io/enforcer": "bpf"}"#,
            "panicked",
        ] {
            assert!(labels_told(bad).is_err(), "{bad}");
        }
    }
}
