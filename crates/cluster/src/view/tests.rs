//! What changes add up to, and what follows for a container.

use super::*;

fn namespace(name: &str, annotations: &[(&str, &str)]) -> Namespace {
    let annotations = annotations.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
    Namespace { name: name.into(), annotations }
}

fn pod(name: &str, uid: &str) -> Pod {
    Pod {
        namespace: "shop".into(),
        name: name.into(),
        uids: vec![uid.into()],
        containers: [(format!("{uid}-main"), "main".to_owned())].into(),
        ..Pod::default()
    }
}

fn key(name: &str) -> (String, String) {
    ("shop".to_owned(), name.to_owned())
}

#[test]
fn a_complete_list_replaces_all_and_concerns_only_what_differs() {
    let mut view = View::default();
    let first =
        view.learn(Change::Pods(Told::All(vec![pod("a", "1"), pod("b", "2"), pod("c", "3")])));
    assert_eq!(first.pods, [key("a"), key("b"), key("c")].into());
    let again =
        view.learn(Change::Pods(Told::All(vec![pod("a", "1"), pod("b", "9"), pod("d", "4")])));
    assert_eq!(again.pods, [key("b"), key("c"), key("d")].into());
    assert!(view.pod("shop", "c", "3").is_none());
    let same = view.learn(Change::Pods(Told::One(pod("a", "1"))));
    assert!(same.is_empty());
}

#[test]
fn namespaces_come_change_and_go() {
    let mut view = View::default();
    let block = [("kubearmor-file-posture", "block"), ("kubearmor-visibility", "process")];
    let list = vec![namespace("shop", &block), namespace("other", &[])];
    assert_eq!(view.learn(Change::Namespaces(Told::All(list))).namespaces.len(), 2);
    assert_eq!(view.wanted("shop").file, Some(Posture::Block));
    assert_eq!(view.visibility("shop"), Some("process"));
    assert_eq!(view.wanted("other"), Wanted::default());
    let changed = view.learn(Change::Namespaces(Told::One(namespace("shop", &[]))));
    assert_eq!(changed.namespaces, ["shop".to_owned()].into());
    assert_eq!(view.wanted("shop"), Wanted::default());
    let gone = view.learn(Change::Namespaces(Told::Gone(namespace("other", &[]))));
    assert_eq!(gone.namespaces, ["other".to_owned()].into());
}

#[test]
fn a_namespaces_file_posture_is_that_of_programs_too_and_the_rest_stays() {
    let wanted = Wanted { file: Some(Posture::Block), ..Wanted::default() };
    let defaults = Postures { network: Posture::Allow, ..Postures::default() };
    let postures = wanted.over(defaults);
    assert_eq!((postures.file, postures.process), (Posture::Block, Posture::Block));
    assert_eq!((postures.network, postures.capabilities), (Posture::Allow, Posture::Audit));
}

#[test]
fn a_misspelt_posture_is_none_and_told() {
    let mut view = View::default();
    let annotations = [("kubearmor-file-posture", "blok"), ("kubearmor-network-posture", "Block")];
    view.learn(Change::Namespaces(Told::One(namespace("shop", &annotations))));
    let wanted = view.wanted("shop");
    assert_eq!((wanted.file, wanted.network), (None, Some(Posture::Block)));
    assert_eq!(view.misspelt("shop"), [("kubearmor-file-posture", "blok")]);
}

#[test]
fn a_pod_that_took_anothers_name_is_another_pod() {
    let mut view = View::default();
    view.learn(Change::Pods(Told::One(Pod {
        policy: Some("disabled".into()),
        ..pod("db-0", "old")
    })));
    let old = view.pod("shop", "db-0", "old").unwrap();
    assert_eq!(old.policy.as_deref(), Some("disabled"));
    assert!(view.pod("shop", "db-0", "new").is_none());
    assert!(view.pod("shop", "db-0", "").is_some());
    assert!(view.pod("other", "db-0", "old").is_none());
}

#[test]
fn a_container_is_found_by_its_id_alone() {
    let mut view = View::default();
    view.learn(Change::Pods(Told::All(vec![pod("a", "1"), pod("b", "2")])));
    let (found, name) = view.by_container("2-main").unwrap();
    assert_eq!((found.name.as_str(), name), ("b", "main"));
    assert!(view.by_container("3-main").is_none());
}

#[test]
fn annotations_say_how_far_policies_hold() {
    let mode = |annotation: Option<&str>, namespace: &str, labels: &[&str]| {
        let labels = labels.iter().map(|key| ((*key).to_owned(), String::new())).collect();
        Mode::of(namespace, &labels, annotation)
    };
    for (annotation, expected) in [
        (None, Mode::Enforced),
        (Some("enabled"), Mode::Enforced),
        (Some("audited"), Mode::Audited),
        (Some("disabled"), Mode::Disabled),
        (Some("disable"), Mode::Enforced),
        (Some(""), Mode::Enforced),
    ] {
        assert_eq!(mode(annotation, "shop", &["app"]), expected, "{annotation:?}");
    }
    assert_eq!(mode(Some("enabled"), "kube-system", &[]), Mode::Audited);
    assert_eq!(mode(None, "shop", &["io.cilium/app"]), Mode::Audited);
    assert_eq!(mode(Some("disabled"), "kube-system", &[]), Mode::Disabled);
}

#[test]
fn the_node_has_annotations_of_its_own() {
    let mut view = View::default();
    assert_eq!(view.node_mode(), Mode::Enforced);
    let annotations =
        namespace("", &[("kubearmor-policy", "audited"), ("kubearmor-visibility", "none")]);
    let node = Node { name: "n".into(), annotations: annotations.annotations, ..Node::default() };
    assert!(view.learn(Change::Node(node.clone())).node);
    assert!(!view.learn(Change::Node(node)).node);
    assert_eq!((view.node_mode(), view.node_visibility()), (Mode::Audited, Some("none")));
}

#[test]
fn what_a_restart_begins_with_is_what_was_known() {
    let mut view = View::default();
    view.learn(Change::Pods(Told::One(pod("a", "1"))));
    view.learn(Change::Namespaces(Told::One(namespace("shop", &[("kubearmor-policy", "x")]))));
    view.learn(Change::Configuration([("cluster".to_owned(), "prod".to_owned())].into()));
    let kept = serde_json::to_string(&view).unwrap();
    assert_eq!(serde_json::from_str::<View>(&kept).unwrap(), view);
}

#[test]
fn a_change_tells_whom_it_concerns() {
    let concerned = Concerned {
        namespaces: ["shop".to_owned()].into(),
        pods: [("other".to_owned(), "web".to_owned())].into(),
        node: false,
    };
    for (namespace, pod, expected) in
        [("shop", "any", true), ("other", "web", true), ("other", "db", false), ("x", "", true)]
    {
        assert_eq!(concerned.is_of(namespace, pod), expected, "{namespace} {pod}");
    }
}
