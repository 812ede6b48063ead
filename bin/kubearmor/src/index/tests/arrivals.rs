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

const GROUP: &str = "/sys/fs/cgroup/x";

fn appeared(node: &mut Fixture, cgroup: &str) {
    node.index.appeared(Path::new(cgroup), |_| false);
}

/// How often a place was asked for it.
fn places(node: &Fixture, id: &str) -> usize {
    node.enforcer.asked().placed.iter().filter(|placed| *placed == id).count()
}

fn folders(node: &mut Fixture) -> Vec<String> {
    node.index.take_folders().into_iter().map(|folder| folder.display().to_string()).collect()
}

#[test]
fn a_container_that_starts_again_has_its_rules_before_anybody_tells_of_it() {
    let mut node = Fixture::new();
    node.apply(&on_app("p", "web", "/bin/id")).unwrap();
    node.start("web", &[("app", "web")]);
    assert_eq!(folders(&mut node), ["/sys/fs/cgroup"]);
    assert!(folders(&mut node).is_empty(), "it is asked for once");
    let before = node.enforcer.asked().rules["web"].clone();
    stop(&mut node, "web", 7);
    assert_eq!(folders(&mut node), ["/sys/fs/cgroup"]);
    appeared(&mut node, "/sys/fs/cgroup/y");
    assert_eq!(node.in_force("web"), Vec::<String>::new());
    appeared(&mut node, GROUP);
    assert_eq!(node.enforcer.asked().rules["web"], before, "links of the life before count");
    assert_eq!(node.index.container_of(Path::new(GROUP)), None, "its own hook may ask");

    let again = Container { pid: 8, ..container("web", &[("app", "web")]) };
    node.index.heard(WorkloadEvent::Started(Box::new(again)));
    assert_eq!(node.in_force("web"), ["p"]);
    assert_eq!(node.enforcer.asked().removed, ["web"], "the rules hold without a break");
    assert_eq!(node.index.container_of(Path::new(GROUP)), Some("web"));
    stop(&mut node, "web", 8);
    assert_eq!(node.in_force("web"), Vec::<String>::new());
}

#[test]
fn the_rules_of_today_hold_for_a_container_that_starts_again() {
    let mut node = Fixture::new();
    let first = on_app("p", "web", "/usr/bin/id");
    node.apply(&first).unwrap();
    node.start("web", &[("app", "web")]);
    stop(&mut node, "web", 7);
    node.delete(&first);
    node.apply(&on_app("q", "web", "/usr/bin/env")).unwrap();
    appeared(&mut node, GROUP);
    assert_eq!(node.in_force("web"), ["q"]);
    let other = Container { pid: 8, ..container("web", &[("app", "db")]) };
    node.index.arrived(other).unwrap();
    assert_eq!(node.in_force("web"), Vec::<String>::new(), "another container of that id");
}

#[test]
fn a_control_group_that_nobody_is_started_in_is_forgotten() {
    let mut node = Fixture::new();
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    node.start("web", &[("app", "web")]);
    stop(&mut node, "web", 7);
    appeared(&mut node, GROUP);
    node.index.forget_ended(|cgroup| cgroup == Path::new(GROUP));
    assert!(node.enforcer.asked().rules.is_empty());
}

#[test]
fn only_so_many_ended_containers_are_remembered() {
    let mut node = Fixture::new();
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    for number in 0..1100 {
        let (id, cgroup) = (format!("c{number}"), format!("/pods/{number}/c").into());
        let web = Container { cgroup, ..container(&id, &[("app", "web")]) };
        node.index.arrived(web).unwrap();
        stop(&mut node, &id, 7);
    }
    assert_eq!(node.index.overview().pasts, 1024);
    assert_eq!(node.index.take_folders().len(), 1024);
    appeared(&mut node, "/pods/0/c");
    assert!(node.enforcer.asked().rules.is_empty());
    appeared(&mut node, "/pods/1099/c");
    assert_eq!(node.in_force("c1099"), ["p"]);
}

#[test]
fn it_is_counted_which_containers_ran_before_they_had_their_rules() {
    let mut node = Fixture::new();
    let unasked = |started, late| Unasked { started, late };
    let running =
        |node: &Fixture, id: &str| assert!(node.enforcer.asked().running.insert(id.into()));
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    running(&node, "old");
    node.start("old", &[("app", "web")]);
    node.index.heard(WorkloadEvent::Scanned);
    assert_eq!(node.index.unasked(), unasked(0, 0), "it was there before the agent");
    node.start("early", &[("app", "web")]);
    running(&node, "late");
    node.start("late", &[("app", "web")]);
    assert_eq!(node.index.unasked(), unasked(2, 1));
    node.index.arrived(container("asked", &[("app", "web")])).unwrap();
    running(&node, "asked");
    node.start("asked", &[("app", "web")]);
    assert_eq!(node.index.unasked(), unasked(2, 1));
}

#[test]
fn what_could_not_be_expressed_is_told_of_a_restarted_container_too() {
    let mut node = Fixture::new();
    node.enforcer.asked().not_expressed = Some("no such hook".into());
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    node.start("web", &[("app", "web")]);
    stop(&mut node, "web", 7);
    appeared(&mut node, GROUP);
    let again = Container { pid: 8, ..container("web", &[("app", "web")]) };
    node.index.heard(WorkloadEvent::Started(Box::new(again)));
    assert_eq!(node.index.overview().policies[0].notes.len(), 1);
}

#[test]
fn a_restart_that_nobody_tells_of_does_not_keep_the_next_one_from_its_rules() {
    let mut node = Fixture::new();
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    node.start("web", &[("app", "web")]);
    stop(&mut node, "web", 7);
    for restart in 1..=3 {
        // Its program is refused and ends; the runtime is asked about a container that is gone.
        appeared(&mut node, GROUP);
        assert_eq!(node.in_force("web"), ["p"], "restart {restart}");
        assert_eq!(places(&node, "web"), 1 + restart, "each control group is bound anew");
    }
    let again = Container { pid: 8, ..container("web", &[("app", "web")]) };
    node.index.heard(WorkloadEvent::Started(Box::new(again)));
    assert_eq!(node.in_force("web"), ["p"]);
}

#[test]
fn a_restart_before_the_end_is_told_has_its_rules_and_late_news_does_not_end_it() {
    let mut node = Fixture::new();
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    node.start("web", &[("app", "web")]);
    node.index.appeared(Path::new(GROUP), |_| true);
    assert_eq!(places(&node, "web"), 1, "news of the group it runs in");
    appeared(&mut node, GROUP);
    assert_eq!(places(&node, "web"), 2);
    stop(&mut node, "web", 7);
    assert_eq!(node.in_force("web"), ["p"]);
}
