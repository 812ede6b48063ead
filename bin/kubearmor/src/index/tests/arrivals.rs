//! Containers that several sources tell of, and their ends.

use super::*;

fn stop(node: &mut Fixture, id: &str, pid: u32) {
    node.index.heard(WorkloadEvent::Stopped { id: id.into(), pid });
}

#[test]
fn a_container_that_two_sources_tell_of_is_governed_once() {
    let mut node = Fixture::new();
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    let web = container("web", &[("app", "web")]);
    let hooked = Container { prepared_root: Some("/run/web".into()), ..web.clone() };
    node.index.arrived(hooked).unwrap();
    assert_eq!(node.in_force("web"), ["p"], "before anybody hears that it arrived");
    node.index.heard(WorkloadEvent::Started(Box::new(web)));
    let asked = node.enforcer.asked();
    assert_eq!(
        (asked.placed.as_slice(), asked.applied),
        (["host", "web"].map(Into::into).as_slice(), 1)
    );
}

#[test]
fn a_second_source_adds_what_the_first_did_not_know() {
    let mut node = Fixture::new();
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    node.index.arrived(container("web", &[("tier", "front")])).unwrap();
    assert_eq!(node.in_force("web"), Vec::<String>::new());
    node.start("web", &[("app", "web"), ("tier", "back")]);
    assert_eq!(node.in_force("web"), ["p"]);
    assert_eq!(node.enforcer.asked().placed, ["host", "web"]);
    let identity = node.index.identities.get(&WorkloadKey("web".into())).unwrap();
    assert_eq!(identity.labels["tier"], "front");
}

#[test]
fn the_late_news_of_an_earlier_life_ends_nothing() {
    let mut node = Fixture::new();
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    node.start("web", &[("app", "web")]);
    let again = Container { pid: 8, ..container("web", &[("app", "web")]) };
    node.index.arrived(again).unwrap();
    stop(&mut node, "web", 7);
    assert_eq!(node.in_force("web"), ["p"]);
    stop(&mut node, "web", 8);
    assert!(node.enforcer.asked().rules.is_empty());
}

#[test]
fn nothing_of_an_earlier_life_holds_for_the_next() {
    let mut node = Fixture::new();
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    node.start("one", &[("app", "web")]);
    let again = Container { pid: 8, ..container("one", &[("app", "db")]) };
    node.index.arrived(again).unwrap();
    assert_eq!(node.in_force("one"), Vec::<String>::new());
}

#[test]
fn whoever_waits_hears_that_rules_are_not_in_force() {
    let mut node = Fixture::new();
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    node.enforcer.asked().refuse = Some("p".into());
    let why = node.index.arrived(container("web", &[("app", "web")])).unwrap_err();
    assert!(why.contains("the rules of web are not in force") && why.contains("full"), "{why}");
    node.index.arrived(container("db", &[("app", "db")])).unwrap();
    node.enforcer.asked().refuse = None;
    node.index.arrived(container("web", &[("app", "web")])).unwrap();
    assert_eq!(node.in_force("web"), ["p"]);
}

#[test]
fn the_agents_own_container_is_left_out_and_no_other_that_is_called_alike() {
    let mut node = Fixture::new();
    let labels = [("app", "kubearmor")];
    node.apply(&on_app("all", "kubearmor", "/usr/bin/id")).unwrap();
    let agents = Container { pid: 40, cgroup: "/group/agent".into(), ..container("own", &labels) };
    let own_place =
        OwnPlace { cgroup: "/group/agent/own".into(), lineage: [40, 41].into_iter().collect() };
    node.index.runs_at(Some(own_place));
    node.index.arrived(agents.clone()).unwrap();
    node.index.heard(WorkloadEvent::Started(Box::new(agents.clone())));
    assert_eq!(node.enforcer.asked().placed, ["host"]);
    assert_eq!(node.index.container_of(Path::new("/group/agent")), None);

    let alike = Container { id: "alike".into(), pid: 42, ..agents.clone() };
    node.index.arrived(alike).unwrap();
    let elsewhere = Container { id: "elsewhere".into(), cgroup: "/group/b".into(), ..agents };
    node.index.arrived(elsewhere).unwrap();
    assert_eq!(node.in_force("alike"), ["all"]);
    assert_eq!(node.in_force("elsewhere"), ["all"]);
    assert_eq!(node.in_force("own"), Vec::<String>::new());
}

#[test]
fn a_container_does_not_pass_for_the_host() {
    let mut node = Fixture::new();
    node.apply(&on_host("h")).unwrap();
    assert!(node.index.arrived(container("host", &[])).is_err());
    assert_eq!(node.in_force("host"), ["h"]);
}

#[test]
fn containers_of_which_nothing_is_left_are_forgotten() {
    let mut node = Fixture::new();
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    for id in ["one", "two"] {
        let cgroup = PathBuf::from(format!("/group/{id}"));
        node.index.arrived(Container { cgroup, ..container(id, &[("app", "web")]) }).unwrap();
    }
    assert_eq!(node.index.container_of(Path::new("/group/one/below")), Some("one"));
    assert_eq!(node.index.container_of(Path::new("/group/one-more")), None);
    node.index.forget_ended(|cgroup| cgroup.ends_with("one"));
    assert_eq!(node.in_force("one"), Vec::<String>::new());
    assert_eq!(node.in_force("two"), ["p"]);
    node.index.stopped("two", |life| life.cgroup.ends_with("elsewhere"));
    assert_eq!(node.in_force("two"), ["p"]);
}
