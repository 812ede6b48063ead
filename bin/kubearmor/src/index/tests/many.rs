//! A node with very many containers and policies: what a change costs goes by what it concerns. Nothing here is a
//! matter of time: what the enforcer is asked is counted.

use std::collections::HashSet;

use super::*;

const CONTAINERS: usize = 10_000;
const APPLICATIONS: usize = 200;
const POLICIES: usize = 1_000;

fn app(number: usize) -> String {
    format!("app-{}", number % APPLICATIONS)
}

fn of_app(number: usize, path: &str) -> String {
    on_app(&format!("p-{number}"), &app(number), path)
}

fn for_all(path: &str) -> String {
    blocking("KubeArmorPolicy", "for-all", "selector: {}", path)
}

/// Control groups are told apart, as those of a node are.
fn start(node: &mut Fixture, number: usize) {
    let told = container(&format!("c-{number}"), &[("app", &app(number))]);
    let cgroup = format!("/sys/fs/cgroup/pods/c-{number}").into();
    node.index.arrived(Container { cgroup, ..told }).unwrap();
}

/// What the enforcer is asked for by a change: rules to apply, and how often to look at all tasks.
fn asked(node: &mut Fixture, change: impl FnOnce(&mut Fixture)) -> (usize, usize) {
    let counts = |node: &Fixture| {
        let asked = node.enforcer.asked();
        (asked.applied, asked.settled)
    };
    let before = counts(node);
    change(node);
    let after = counts(node);
    (after.0 - before.0, after.1 - before.1)
}

#[test]
fn ten_thousand_containers_under_a_thousand_policies() {
    let mut node = Fixture::new();
    for number in 0..POLICIES {
        node.apply(&of_app(number, &format!("/usr/bin/tool-{number}"))).unwrap();
    }
    for number in 0..CONTAINERS {
        start(&mut node, number);
    }
    let each = POLICIES / APPLICATIONS;
    assert_eq!(node.in_force("c-7").len(), each);

    let replicas = CONTAINERS / APPLICATIONS;
    let one = asked(&mut node, |node| drop(node.apply(&of_app(7, "/usr/bin/other")).unwrap()));
    assert_eq!(one, (replicas, 1), "only those that it selects, and one look at the tasks");
    let all = asked(&mut node, |node| drop(node.apply(&for_all("/usr/bin/id")).unwrap()));
    assert_eq!(all, (CONTAINERS, 1));
    assert_eq!(asked(&mut node, |node| start(node, CONTAINERS)), (1, 1));
    assert_eq!(node.in_force("c-10000").len(), each + 1);

    let kept: HashSet<_> =
        node.index.workloads.values().filter_map(|g| g.rules.as_ref().map(Arc::as_ptr)).collect();
    // The host has rules of its own, though none.
    assert!(kept.len() <= APPLICATIONS + 1, "{} rule sets for {APPLICATIONS}", kept.len());

    let inside = Path::new("/sys/fs/cgroup/pods/c-42/init.scope");
    assert_eq!(node.index.container_of(inside), Some("c-42"));
    let gone = asked(&mut node, |node| {
        node.index.heard(WorkloadEvent::Stopped { id: "c-42".into(), pid: 7 });
    });
    assert_eq!(gone, (0, 1));
    assert_eq!(node.index.container_of(inside), None);
    assert_eq!(asked(&mut node, |node| assert!(node.delete(&for_all("/x")))), (CONTAINERS, 1));
    assert_eq!(node.in_force("c-9999").len(), each);
}

/// A change that is refused in the middle leaves everybody what they had.
#[test]
fn a_change_that_does_not_fit_is_taken_back_everywhere() {
    let mut node = Fixture::new();
    for number in 0..APPLICATIONS {
        node.apply(&of_app(number, "/usr/bin/id")).unwrap();
        start(&mut node, number);
    }
    node.enforcer.asked().refuse = Some("for-all".to_owned());
    assert!(node.apply(&for_all("/usr/bin/nc")).is_err());
    for number in 0..APPLICATIONS {
        assert_eq!(node.in_force(&format!("c-{number}")), [format!("p-{number}")]);
    }
    node.enforcer.asked().refuse = None;
    node.apply(&for_all("/usr/bin/nc")).unwrap();
    assert!(node.delete(&for_all("/usr/bin/nc")));
    assert_eq!(node.in_force("c-0"), ["p-0"]);
}
