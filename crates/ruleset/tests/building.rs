//! Rule sets from policies and the links of a root filesystem.

use std::collections::{BTreeMap, BTreeSet};

use policy::{
    Action, Attributes, FirewallLevel, Kind, PathObject, PathRule, Place, Policy, PolicyId, Preset,
    PresetRule, Selector, Spec,
};
use ruleset::{
    Links, Object, Postures, RuleSet, Tier, Workload, WorkloadKind, build, wanted_links,
};

fn attributes(action: Action) -> Attributes {
    Attributes { severity: Some(5), tags: vec![], message: "m".into(), action }
}

fn path_rule(object: PathObject, sources: &[&str]) -> PathRule {
    PathRule {
        place: Place("spec.process.matchPaths[0]".into()),
        attributes: attributes(Action::Block),
        object,
        sources: sources.iter().map(|&source| source.to_owned()).collect(),
        read_only: false,
        owner_only: false,
        terminal_only: false,
        allowed_args: None,
    }
}

fn policy(kind: Kind, name: &str, process: Vec<PathRule>, file: Vec<PathRule>) -> Policy {
    let spec = Spec {
        selector: Selector::default(),
        attributes: attributes(Action::Block),
        process,
        file,
        protocols: vec![],
        dns: vec![],
        capabilities: vec![],
        syscalls: vec![],
        presets: vec![],
        devices: vec![],
        apparmor: None,
        firewall: vec![],
        firewall_level: FirewallLevel::default(),
    };
    Policy { id: PolicyId { kind, namespace: None, name: name.into() }, spec }
}

fn path(path: &str) -> PathObject {
    PathObject::Path(path.into())
}

fn built(policies: &[&Policy], links: &Links) -> RuleSet {
    let workload = Workload {
        kind: WorkloadKind::Container,
        name: "c".into(),
        namespace: "default".into(),
        labels: BTreeMap::new(),
    };
    build(policies.iter().copied(), &workload, Postures::default(), links)
}

/// `/bin/cat` and everything else in `/bin/` link to busybox.
fn alpine() -> Links {
    let cat = BTreeSet::from([path("/bin/busybox//cat")]);
    let bin = PathObject::Directory { dir: "/bin/".into(), recursive: false };
    Links {
        objects: BTreeMap::from([(path("/bin/cat"), cat.clone()), (bin, cat)]),
        sources: BTreeMap::from([(
            "/bin/cat".to_owned(),
            BTreeSet::from(["/bin/busybox//cat".to_owned()]),
        )]),
        multicall: BTreeSet::from(["/bin/busybox".to_owned()]),
        hard_linked: BTreeSet::new(),
    }
}

#[test]
fn the_order_of_arrival_does_not_matter() {
    let a = policy(Kind::Container, "a", vec![path_rule(path("/x"), &[])], vec![]);
    let b = policy(Kind::Cluster, "b", vec![path_rule(path("/y"), &[])], vec![]);
    let host = policy(Kind::Host, "h", vec![path_rule(path("/z"), &[])], vec![]);
    let rules = built(&[&a, &b, &host], &Links::default());
    assert_eq!(rules, built(&[&host, &b, &a], &Links::default()));
    assert_eq!(rules.rules.len(), 2);
    assert_eq!(rules.rules[0].tier, Tier::Cluster);
    assert_eq!(rules.rules[0].origin.policy, "b");
}

#[test]
fn a_process_rule_covers_the_applet_and_a_file_rule_the_binary() {
    let rule = || vec![path_rule(path("/bin/cat"), &["/bin/cat"])];
    let rules = built(&[&policy(Kind::Container, "p", rule(), rule())], &alpine());
    let linked: Vec<_> = rules
        .rules
        .iter()
        .filter_map(|rule| match &rule.object {
            Object::Process(paths) | Object::File(paths) => Some(paths.linked.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(
        linked,
        [BTreeSet::from([path("/bin/busybox//cat")]), BTreeSet::from([path("/bin/busybox")])]
    );
    let sources = BTreeSet::from(["/bin/cat".to_owned(), "/bin/busybox//cat".to_owned()]);
    assert!(rules.rules.iter().all(|rule| rule.source.as_ref() == Some(&sources)));
    assert_eq!(rules.multicall, BTreeSet::from(["/bin/busybox".to_owned()]));
}

#[test]
fn a_file_rule_on_a_directory_does_not_follow_the_links_in_it() {
    let bin = PathObject::Directory { dir: "/bin/".into(), recursive: false };
    let policy = policy(Kind::Container, "p", vec![], vec![path_rule(bin, &[])]);
    let rules = built(&[&policy], &alpine());
    assert!(matches!(&rules.rules[0].object, Object::File(paths) if paths.linked.is_empty()));
    assert_eq!(rules.multicall, BTreeSet::new());
}

#[test]
fn the_link_resolver_learns_what_to_look_at() {
    let process = vec![path_rule(path("/bin/cat"), &["/bin/sh"])];
    let file = vec![path_rule(PathObject::Pattern("/srv/*".into()), &[])];
    let wanted = wanted_links([&policy(Kind::Container, "p", process, file)]);
    assert_eq!(wanted.processes, BTreeSet::from([path("/bin/cat")]));
    assert_eq!(wanted.files, BTreeSet::from([PathObject::Pattern("/srv/*".into())]));
    assert_eq!(wanted.sources, BTreeSet::from(["/bin/sh".to_owned()]));
}

#[test]
fn a_preset_is_a_rule_with_its_place_and_tier() {
    let mut cluster = policy(Kind::Cluster, "c", vec![], vec![]);
    cluster.spec.presets = vec![PresetRule {
        place: Place("spec.presets[0]".into()),
        attributes: attributes(Action::Audit),
        preset: Preset::FilelessExec,
    }];
    let rules = built(&[&cluster], &alpine());
    let [rule] = rules.rules.as_slice() else { panic!() };
    assert_eq!(rule.object, Object::Preset(Preset::FilelessExec));
    assert_eq!((rule.tier, rule.action), (Tier::Cluster, Action::Audit));
    assert_eq!(rule.origin.to_string(), "KubeArmorClusterPolicy c, spec.presets[0]");
    assert_eq!(rule.origin.severity, Some(5));
    assert_eq!(rules.multicall, BTreeSet::new());
}
