//! Which rules and settings reach which workloads.

use super::*;

#[test]
fn a_policy_reaches_the_containers_it_selects_and_no_other() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    node.start("db", &[("app", "db")]);
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    assert_eq!(node.in_force("web"), ["p"]);
    assert_eq!(node.enforcer.asked().applied, 1, "nothing was asked for the other one");

    node.start("web-2", &[("app", "web")]);
    assert_eq!(node.in_force("web-2"), ["p"], "a later container has its rules at once");
    assert!(node.delete(&on_app("p", "web", "/usr/bin/id")));
    assert_eq!(node.in_force("web"), Vec::<String>::new());
    assert!(!node.delete(&on_app("p", "web", "/usr/bin/id")));
}

#[test]
fn a_changed_policy_leaves_nothing_of_the_old_one() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    node.start("db", &[("app", "db")]);
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    node.apply(&on_app("p", "db", "/usr/bin/id")).unwrap();
    assert_eq!(node.in_force("web"), Vec::<String>::new());
    assert_eq!(node.in_force("db"), ["p"]);
    assert_eq!(node.stored(), 1);
}

#[test]
fn an_equal_rule_set_is_not_applied_again() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    assert_eq!(node.enforcer.asked().applied, 1);
}

#[test]
fn links_of_the_containers_root_are_part_of_its_rules() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    node.apply(&on_app("p", "web", "/bin/id")).unwrap();
    let rules = Arc::clone(&node.enforcer.asked().rules["web"]);
    let ruleset::Object::Process(paths) = &rules.rules[0].object else { panic!() };
    assert_eq!(paths.linked, [PathObject::Path("/usr/bin/id".into())].into());
}

#[test]
fn a_container_that_starts_again_is_placed_and_governed_again() {
    let mut node = Fixture::new();
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    node.start("web", &[("app", "web")]);
    node.index.heard(WorkloadEvent::Stopped { id: "web".into(), pid: 7 });
    assert!(node.enforcer.asked().rules.is_empty());
    node.start("web", &[("app", "web")]);
    assert_eq!(node.in_force("web"), ["p"]);
    assert_eq!(node.enforcer.asked().placed, ["host", "web", "web"]);
}

#[test]
fn host_policies_concern_the_host_only_and_only_while_they_are_on() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    node.apply(&on_host("h")).unwrap();
    assert_eq!(node.in_force("host"), ["h"]);
    assert_eq!(node.in_force("web"), Vec::<String>::new());
    assert_eq!(node.enforcer.asked().rules["host"].postures.file, Posture::Allow);

    node.index.reconfigure(Settings { host_policies: false, ..ALL });
    assert_eq!(node.in_force("host"), Vec::<String>::new());
    let refusal = node.apply(&on_host("h2")).unwrap_err();
    assert!(matches!(refusal, Refusal::NotEnabled { key: "enableKubeArmorHostPolicy", .. }));
    node.index.reconfigure(ALL);
    assert_eq!(node.in_force("host"), ["h"]);
}

#[test]
fn a_changed_posture_reaches_running_containers() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    let blocking = Postures { file: Posture::Block, ..ALL.containers };
    node.index.reconfigure(Settings { containers: blocking, ..ALL });
    assert_eq!(node.enforcer.asked().rules["web"].postures, blocking);
}

#[test]
fn visibility_follows_the_settings() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    let asked = |enforcer: &FakeEnforcer| {
        let asked = enforcer.asked();
        (asked.visible.clone(), asked.window)
    };
    let visible = |web, host| BTreeMap::from([("web".to_owned(), web), ("host".to_owned(), host)]);
    let before = (visible(Visibility::FILE, Visibility::PROCESS), ALL.merge_window);
    assert_eq!(asked(&node.enforcer), before);
    let settings = Settings { visible: Visibility::empty(), merge_window: Duration::ZERO, ..ALL };
    node.index.reconfigure(settings);
    let after = (visible(Visibility::empty(), Visibility::PROCESS), Duration::ZERO);
    assert_eq!(asked(&node.enforcer), after);
}

#[test]
fn an_earlier_runs_rules_end_once_when_all_containers_have_theirs() {
    let mut node = Fixture::new();
    assert!(!node.index.is_ready());
    node.index.heard(WorkloadEvent::RuntimeAway);
    assert!(node.index.is_ready(), "nothing waits for a runtime that is away");
    assert_eq!(node.enforcer.asked().taken_over, 0, "containers may be there all the same");
    for event in [WorkloadEvent::Scanned, WorkloadEvent::Scanned] {
        node.index.heard(event);
    }
    assert_eq!(node.enforcer.asked().taken_over, 1);
}
