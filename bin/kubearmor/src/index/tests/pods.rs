//! What the API server tells of policies, pods, namespaces and the node, and what of it holds while it is away.

use cluster::{
    Change, Namespace, Node, Owner, Pod, PolicyObject, Told,
    summary::{PolicyState, PolicySummary},
};

use super::*;

fn cluster() -> Fixture {
    let settings = Settings { untracked: "kube-system,kubearmor".into(), ..ALL };
    Fixture::with(settings).in_cluster()
}

impl Fixture {
    fn in_cluster(mut self) -> Self {
        self.index.keep_objects_in(Store::of_cluster(self.state.path()).unwrap());
        self
    }

    /// Another agent on the same state, and the API server away.
    fn restarted_in_cluster(self) -> Self {
        let view = serde_json::to_string(self.index.view()).unwrap();
        let enforcer = FakeEnforcer::default();
        let index = index(self.state.path(), &enforcer, ALL);
        let mut next = Self { state: self.state, enforcer, index }.in_cluster();
        next.index.remember_cluster(serde_json::from_str(&view).unwrap());
        restore::restore(&mut next.index).unwrap();
        next
    }

    fn told(&mut self, told: Told<PolicyObject>) {
        self.index.learn(Change::Policies(Kind::Container, told));
    }

    fn pod(&mut self, pod: Pod) {
        self.index.learn(Change::Pods(Told::One(pod)));
    }

    fn annotated(&mut self, annotations: &[(&str, &str)]) {
        let namespace = Namespace { name: "shop".into(), annotations: pairs(annotations) };
        self.index.learn(Change::Namespaces(Told::One(namespace)));
    }

    fn run(&mut self, id: &str, namespace: &str, pod: &str) {
        let container = Container {
            namespace: namespace.into(),
            pod: pod.into(),
            pod_uid: format!("{pod}-uid"),
            ..container(id, &[("app", "web")])
        };
        self.index.heard(WorkloadEvent::Started(Box::new(container)));
    }

    fn summary(&self, name: &str) -> PolicySummary {
        let policies = self.index.summary().policies;
        policies.into_iter().find(|policy| policy.name == name).unwrap()
    }

    fn audited(&self, id: &str) -> bool {
        self.enforcer.asked().rules[id].audited
    }
}

fn pairs(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn pod(name: &str, labels: &[(&str, &str)], policy: Option<&str>) -> Pod {
    Pod {
        namespace: "shop".into(),
        name: name.into(),
        uids: vec![format!("{name}-uid")],
        labels: pairs(labels),
        policy: policy.map(str::to_owned),
        owner: Owner { kind: "Deployment".into(), name: "web".into() },
        ..Pod::default()
    }
}

/// Blocks `path` for pods of `app`; no path is no rule.
fn object(name: &str, generation: i64, app: &str, path: &str) -> PolicyObject {
    let spec = if path.is_empty() {
        String::new()
    } else {
        format!(r#", "process": {{"matchPaths": [{{"path": "{path}"}}]}}"#)
    };
    let text = format!(
        r#"{{"apiVersion": "security.kubearmor.com/v1", "kind": "KubeArmorPolicy",
        "metadata": {{"name": "{name}", "namespace": "shop", "generation": {generation}}},
        "spec": {{"selector": {{"matchLabels": {{"app": "{app}"}}}}, "action": "Block"{spec}}}}}"#
    );
    let id = PolicyId { kind: Kind::Container, namespace: Some("shop".into()), name: name.into() };
    PolicyObject { id, generation, text }
}

#[test]
fn policies_of_the_api_server_come_change_and_go() {
    let mut node = cluster();
    node.run("c", "shop", "web-1");
    node.told(Told::All(vec![object("a", 1, "web", "/bin/a"), object("b", 1, "web", "/bin/b")]));
    assert_eq!(node.in_force("c"), ["a", "b"]);
    node.told(Told::One(object("c", 1, "web", "/bin/c")));
    node.told(Told::Gone(object("a", 1, "web", "/bin/a")));
    assert_eq!(node.in_force("c"), ["b", "c"]);
    // What is listed anew replaces all that is not in the list.
    node.told(Told::All(vec![object("c", 1, "web", "/bin/c")]));
    assert_eq!(node.in_force("c"), ["c"]);
    assert_eq!(node.stored(), 0, "they are kept apart from those that clients sent");
}

#[test]
fn a_restart_without_the_api_server_enforces_what_was_known_until_it_is_told_otherwise() {
    let mut node = cluster();
    node.pod(pod("web-1", &[("app", "web")], None));
    node.annotated(&[("kubearmor-file-posture", "block")]);
    node.told(Told::All(vec![object("a", 3, "web", "/bin/a"), object("b", 1, "web", "/bin/b")]));
    let mut node = node.restarted_in_cluster();
    node.run("c", "shop", "web-1");
    assert_eq!(node.in_force("c"), ["a", "b"]);
    assert_eq!(node.enforcer.asked().rules["c"].postures.file, Posture::Block);
    assert_eq!(node.summary("a").generation, 3);
    // `a` was deleted in the meantime: the first complete list tells, and so it stays on disk.
    node.told(Told::One(object("b", 2, "web", "/bin/b2")));
    assert_eq!(node.in_force("c"), ["a", "b"]);
    node.told(Told::All(vec![object("b", 2, "web", "/bin/b2")]));
    assert_eq!(node.in_force("c"), ["b"]);
    let mut node = node.restarted_in_cluster();
    node.run("c", "shop", "web-1");
    assert_eq!(node.in_force("c"), ["b"]);
}

#[test]
fn lists_of_one_kind_say_nothing_of_others() {
    let mut node = cluster();
    node.run("c", "shop", "web-1");
    node.told(Told::All(vec![object("a", 1, "web", "/bin/a")]));
    node.index.learn(Change::Policies(Kind::Cluster, Told::All(Vec::new())));
    assert_eq!(node.in_force("c"), ["a"]);
}

#[test]
fn what_is_refused_leaves_the_generation_before_in_force_and_is_told() {
    let mut node = cluster();
    node.run("c", "shop", "web-1");
    node.told(Told::One(object("a", 1, "web", "/bin/a")));
    node.told(Told::One(object("a", 2, "web", "")));
    assert_eq!(node.in_force("c"), ["a"]);
    let told = node.summary("a");
    assert_eq!((told.state, told.generation), (PolicyState::Refused, 2));
    assert_eq!(told.generation_in_force, Some(1));
    assert!(!told.reason.is_empty());
    node.told(Told::One(object("a", 3, "web", "/bin/a")));
    let told = node.summary("a");
    assert_eq!((told.state, told.generation), (PolicyState::Enforced, 3));
    assert_eq!((told.generation_in_force, told.reason.as_str(), told.workloads), (None, "", 1));
}

#[test]
fn what_never_was_in_force_is_told_and_forgotten() {
    let mut node = cluster();
    node.told(Told::One(object("a", 1, "web", "")));
    let told = node.summary("a");
    assert_eq!((told.state, told.generation_in_force), (PolicyState::Refused, None));
    node.told(Told::All(Vec::new()));
    assert!(node.index.summary().policies.is_empty());
}

#[test]
fn a_policy_whose_kind_is_switched_off_counts_once_it_is_switched_on() {
    let off = Settings { container_policies: false, ..ALL };
    let mut node = Fixture::with(off).in_cluster();
    node.run("c", "shop", "web-1");
    node.told(Told::One(object("a", 1, "web", "/bin/a")));
    assert!(node.in_force("c").is_empty());
    assert_eq!(node.summary("a").state, PolicyState::NotEnabled);
    node.index.reconfigure(ALL);
    assert_eq!(node.in_force("c"), ["a"]);
}

#[test]
fn a_client_does_not_change_what_the_api_server_has() {
    let mut node = cluster();
    let policy = object("a", 1, "web", "/bin/a");
    node.told(Told::One(policy.clone()));
    let refused = node.apply(&policy.text).unwrap_err();
    assert!(refused.to_string().contains("kept in the API server"), "{refused}");
    assert!(node.index.delete(&policy.id, &Keeper::Store).is_err());
}

#[test]
fn what_a_client_sent_before_is_the_api_servers_from_then_on() {
    let mut node = cluster();
    node.run("c", "shop", "web-1");
    let policy = object("a", 1, "web", "/bin/a");
    node.apply(&policy.text).unwrap();
    node.told(Told::One(policy.clone()));
    node.told(Told::Gone(policy));
    assert!(node.in_force("c").is_empty());
    assert_eq!(node.stored(), 0);
}

#[test]
fn labels_follow_the_pod_and_not_what_the_runtime_kept() {
    let mut node = cluster();
    node.told(Told::One(object("a", 1, "web", "/bin/a")));
    node.told(Told::One(object("b", 1, "db", "/bin/b")));
    // Before the API server has told of the pod, the runtime's word counts.
    node.run("c", "shop", "web-1");
    assert_eq!(node.in_force("c"), ["a"]);
    node.pod(pod("web-1", &[("app", "db")], None));
    assert_eq!(node.in_force("c"), ["b"]);
    node.run("other", "shop", "web-2");
    assert_eq!(node.in_force("other"), ["a"]);
}

#[test]
fn rules_are_there_before_the_first_program_of_a_pod_that_was_bound() {
    let mut node = cluster();
    node.told(Told::One(object("a", 1, "db", "/bin/a")));
    node.pod(pod("web-1", &[("app", "db")], None));
    let container = Container {
        namespace: "shop".into(),
        pod: "web-1".into(),
        pod_uid: "web-1-uid".into(),
        ..container("c", &[])
    };
    node.index.arrived(container).unwrap();
    assert_eq!(node.in_force("c"), ["a"]);
}

#[test]
fn a_pods_annotation_switches_enforcement_for_it_alone() {
    let mut node = cluster();
    node.told(Told::One(object("a", 1, "web", "/bin/a")));
    for name in ["web-1", "web-2", "web-3"] {
        node.pod(pod(name, &[("app", "web")], None));
        node.run(name, "shop", name);
    }
    node.pod(pod("web-1", &[("app", "web")], Some("disabled")));
    node.pod(pod("web-2", &[("app", "web")], Some("audited")));
    assert!(node.in_force("web-1").is_empty());
    assert_eq!((node.in_force("web-2"), node.audited("web-2")), (vec!["a".to_owned()], true));
    assert_eq!((node.in_force("web-3"), node.audited("web-3")), (vec!["a".to_owned()], false));
    assert_eq!(node.summary("a").state, PolicyState::Enforced);
    node.pod(pod("web-1", &[("app", "web")], Some("enabled")));
    assert_eq!((node.in_force("web-1"), node.audited("web-1")), (vec!["a".to_owned()], false));
}

#[test]
fn a_policy_of_audited_pods_alone_is_told_as_such() {
    let mut node = cluster();
    node.told(Told::One(object("a", 1, "web", "/bin/a")));
    node.pod(pod("web-1", &[("app", "web")], Some("audited")));
    node.run("c", "shop", "web-1");
    assert_eq!(node.summary("a").state, PolicyState::AuditOnly);
}

#[test]
fn a_pod_of_the_same_name_is_not_switched_off_by_the_one_before() {
    let mut node = cluster();
    node.told(Told::One(object("a", 1, "web", "/bin/a")));
    let before =
        Pod { uids: vec!["old".into()], ..pod("db-0", &[("app", "web")], Some("disabled")) };
    node.pod(before);
    node.run("c", "shop", "db-0");
    assert_eq!(node.in_force("c"), ["a"]);
}

#[test]
fn untracked_namespaces_are_left_alone_until_they_are_tracked() {
    let mut node = cluster();
    let text = "apiVersion: security.kubearmor.com/v1\nkind: KubeArmorClusterPolicy\n\
                metadata: {name: all}\nspec:\n  selector: {}\n  process:\n    matchPaths:\n    \
                - path: /bin/a\n  action: Block\n";
    node.apply(text).unwrap();
    node.run("ours", "kubearmor", "agent");
    node.run("theirs", "shop", "web-1");
    assert_eq!((node.in_force("ours").len(), node.in_force("theirs").len()), (0, 1));
    let visible = |node: &Fixture, id: &str| node.enforcer.asked().visible[id];
    assert_eq!(visible(&node, "ours"), Visibility::empty());
    assert_eq!(visible(&node, "theirs"), Visibility::FILE);
    node.index.reconfigure(Settings { untracked: String::new(), ..ALL });
    assert_eq!(node.in_force("ours"), ["all"]);
    assert_eq!(visible(&node, "ours"), Visibility::FILE);
}

#[test]
fn the_systems_own_pods_are_only_audited() {
    let mut node = Fixture::with(ALL).in_cluster();
    let text = object("a", 1, "web", "/bin/a").text.replace("\"shop\"", "\"kube-system\"");
    node.apply(&text).unwrap();
    node.run("c", "kube-system", "dns");
    assert!(node.audited("c"));
}

#[test]
fn a_namespaces_annotations_stand_before_the_configuration() {
    let mut node = cluster();
    node.told(Told::One(object("a", 1, "web", "/bin/a")));
    node.run("c", "shop", "web-1");
    node.annotated(&[
        ("kubearmor-file-posture", "block"),
        ("kubearmor-network-posture", "nonsense"),
        ("kubearmor-visibility", "process,network"),
    ]);
    let postures = node.enforcer.asked().rules["c"].postures;
    assert_eq!((postures.file, postures.process), (Posture::Block, Posture::Block));
    assert_eq!(postures.network, Posture::Audit);
    let visible = |node: &Fixture| node.enforcer.asked().visible["c"];
    assert_eq!(visible(&node), Visibility::PROCESS | Visibility::NETWORK);
    node.annotated(&[("kubearmor-visibility", "nonsense")]);
    assert_eq!(node.enforcer.asked().rules["c"].postures.file, Posture::Audit);
    assert_eq!(visible(&node), Visibility::FILE);
}

#[test]
fn the_nodes_labels_select_it_and_its_annotations_count_for_it() {
    let mut node = cluster();
    let selector = "nodeSelector: {matchLabels: {zone: a}}";
    let text = blocking("KubeArmorHostPolicy", "zoned", selector, "/usr/bin/id");
    node.apply(&text).unwrap();
    assert!(node.in_force("host").is_empty());
    let told = |annotations: &[(&str, &str)]| {
        Change::Node(Node {
            name: "n1".into(),
            uid: "u".into(),
            labels: pairs(&[("zone", "a")]),
            annotations: pairs(annotations),
        })
    };
    node.index.learn(told(&[]));
    assert_eq!(node.in_force("host"), ["zoned"]);
    node.index.learn(told(&[("kubearmor-policy", "disabled"), ("kubearmor-visibility", "none")]));
    assert!(node.in_force("host").is_empty());
    assert_eq!(node.enforcer.asked().visible["host"], Visibility::empty());
}

#[test]
fn events_name_the_pods_owner_and_the_labels_it_has_now() {
    let identities = Arc::new(Identities::default());
    let state = tempfile::tempdir().unwrap();
    let mut index = Index::new(
        Box::new(FakeEnforcer::default()),
        Box::new(MergedRoot),
        Store::open(state.path()).unwrap(),
        ALL,
        workload::host("node-1"),
        Arc::clone(&identities),
    );
    let container = Container {
        namespace: "shop".into(),
        pod: "web-1".into(),
        pod_uid: "web-1-uid".into(),
        ..container("c", &[("app", "web"), ("pod-template-hash", "6d4")])
    };
    index.arrived(container).unwrap();
    let identity = || identities.get(&WorkloadKey("c".into())).unwrap();
    assert_eq!(identity().owner, None);
    index.learn(Change::Pods(Told::One(pod("web-1", &[("app", "shop")], None))));
    let owner = identity().owner.clone().unwrap();
    assert_eq!(
        (owner.kind.as_str(), owner.name.as_str(), owner.namespace.as_str()),
        ("Deployment", "web", "shop")
    );
    assert_eq!(identity().labels, pairs(&[("app", "shop")]));
    assert_eq!((identity().pod.as_str(), identity().namespace.as_str()), ("web-1", "shop"));
}

#[test]
fn a_container_of_which_only_the_id_is_known_is_found_by_it() {
    let mut node = cluster();
    node.told(Told::One(object("a", 1, "web", "/bin/a")));
    node.start("c0ffee", &[]);
    assert!(node.in_force("c0ffee").is_empty());
    let containers = pairs(&[("c0ffee", "main")]);
    node.pod(Pod { containers, ..pod("web-1", &[("app", "web")], None) });
    assert_eq!(node.in_force("c0ffee"), ["a"]);
}
