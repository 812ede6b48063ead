//! What outlives a refusal, a full disk and the agent itself.

use super::*;

#[test]
fn what_the_enforcer_refuses_changes_nothing() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    node.apply(&on_app("good", "web", "/usr/bin/id")).unwrap();
    node.enforcer.asked().refuse = Some("huge".into());
    let refusal = node.apply(&on_app("huge", "web", "/usr/bin/env")).unwrap_err();
    assert!(refusal.to_string().contains("do not fit: full"), "{refusal}");
    assert_eq!(node.in_force("web"), ["good"]);
    assert_eq!(node.stored(), 1);
    node.enforcer.asked().refuse = None;
    node.start("web-2", &[("app", "web")]);
    assert_eq!(node.in_force("web-2"), ["good"]);
}

#[test]
fn a_full_disk_refuses_the_policy_and_keeps_the_old_one() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    let unfinished = "policies/KubeArmorPolicy_default_p.yaml.unfinished";
    std::os::unix::fs::symlink("/dev/full", node.state.path().join(unfinished)).unwrap();
    let refusal = node.apply(&on_app("p", "db", "/usr/bin/id")).unwrap_err();
    assert!(refusal.to_string().contains("make room there"), "{refusal}");
    assert_eq!(node.in_force("web"), ["p"]);
    let mut node = node.restarted();
    node.start("web", &[("app", "web")]);
    assert_eq!(node.in_force("web"), ["p"]);
}

#[test]
fn policies_outlive_the_agent() {
    let mut node = Fixture::new();
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    node.apply(&on_host("p")).unwrap();
    let event = r#"{"type":"ADDED","object":{"metadata":{"name":"event"},"spec":{"nodeSelector":
        {"matchLabels":{"kubearmor.io/hostname":"*"}},"file":{"matchPaths":[{"path":"/etc/x"}]}}}}"#;
    for parsed in policy::parse_event(event.as_bytes(), Kind::Host).events {
        let answer = submit(&mut node.index, parsed, event);
        assert_eq!(answer.status, feed::PolicyStatus::Applied, "{answer:?}");
    }
    let mut node = node.restarted();
    node.start("web", &[("app", "web")]);
    assert_eq!(node.in_force("web"), ["p"]);
    assert_eq!(node.in_force("host"), ["event", "p"], "kinds do not shadow each other");
    node.delete(&on_host("p"));
    let node = node.restarted();
    assert_eq!(node.in_force("host"), ["event"]);
}

#[test]
fn one_text_of_several_policies_is_restored_policy_by_policy() {
    let mut node = Fixture::new();
    let text = format!("{}---\n{}", on_app("a", "web", "/a"), on_app("b", "web", "/b"));
    for event in policy::parse_event(text.as_bytes(), Kind::Container).events {
        submit(&mut node.index, event, &text);
    }
    node.delete(&on_app("a", "web", "/a"));
    let mut node = node.restarted();
    node.start("web", &[("app", "web")]);
    assert_eq!(node.in_force("web"), ["b"]);
}

#[test]
fn a_corrupt_file_is_set_aside_and_the_rest_restored() {
    let mut node = Fixture::new();
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    let policies = node.state.path().join("policies");
    fs::write(policies.join("KubeArmorPolicy_default_bad.yaml"), "kind: [").unwrap();
    let mut node = node.restarted();
    node.start("web", &[("app", "web")]);
    assert_eq!(node.in_force("web"), ["p"]);
    assert!(policies.join("KubeArmorPolicy_default_bad.yaml.corrupt").exists());
}

#[test]
fn what_the_existing_implementation_stored_is_restored() {
    let node = Fixture::new();
    let policies = node.state.path().join("policies");
    let stored = r#"{"kind":"KubeArmorHostPolicy","metadata":{"name":"old"},"spec":{"nodeSelector":
        {"matchLabels":{"kubearmor.io/hostname":"node-1"}},"process":{"matchPaths":[{"path":"/usr/bin/id"}]},
        "action":"Block"}}"#;
    fs::write(policies.join("old.yaml"), stored).unwrap();
    let mut node = node.restarted();
    assert_eq!(node.in_force("host"), ["old"]);
    assert!(node.delete(&on_host("old")));
    assert_eq!(node.stored(), 0);
}

#[test]
fn the_policy_directory_is_followed() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    let follow = |node: &mut Fixture, text: Option<&str>| {
        match text {
            Some(text) => fs::write(&file, text).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        restore::follow_directory(&mut node.index, restore::read_directory(directory.path()));
    };
    follow(&mut node, Some(&on_app("p", "web", "/usr/bin/id")));
    assert_eq!(node.in_force("web"), ["p"]);
    assert_eq!(node.stored(), 0);
    let refusal = node.apply(&on_app("p", "db", "/usr/bin/id")).unwrap_err().to_string();
    assert!(refusal.contains("a.yaml; change it there"), "{refusal}");

    follow(&mut node, Some("kind: ["));
    assert_eq!(node.in_force("web"), ["p"], "a typing error lifts no rule");
    follow(&mut node, Some(&on_app("q", "web", "/usr/bin/id")));
    assert_eq!(node.in_force("web"), ["q"]);
    follow(&mut node, None);
    assert_eq!(node.in_force("web"), Vec::<String>::new());
}
