//! What the index says of what is in force.

use super::*;

#[test]
fn what_is_not_in_force_is_told() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    let with_native = on_app("p", "web", "/usr/bin/id") + "  apparmor: deny /srv/** w,\n";
    node.enforcer.asked().not_expressed = Some("no such hook".into());
    let notes = node.apply(&with_native).unwrap();
    assert_eq!(
        notes,
        [
            "not enforced: spec.apparmor: only AppArmor enforces its native rules",
            "not enforced: spec.process.matchPaths[0]: no such hook"
        ]
    );
    let overview = node.index.overview();
    assert_eq!((overview.policies[0].state, &overview.policies[0].notes), ("Partial", &notes));
    let web = overview.workloads.iter().find(|workload| workload.name == "web").unwrap();
    assert_eq!(web.policies, ["p".to_owned()].into());
}

#[test]
fn a_policy_of_which_nothing_is_enforced_says_so() {
    let mut node = Fixture::new();
    let native = "apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: native}
spec:
  apparmor: deny /srv/** w,
";
    let firewall = "apiVersion: security.kubearmor.com/v1
kind: KubeArmorNetworkPolicy
metadata: {name: firewall}
spec:
  nodeSelector: {matchLabels: {kubernetes.io/hostname: '*'}}
  ingress:
  - from: [{ipBlock: {cidr: 192.0.2.0/24}}]
    ports: [{port: '22', protocol: TCP}]
";
    let notes = node.apply(native).unwrap();
    assert_eq!(notes, ["not enforced: spec.apparmor: only AppArmor enforces its native rules"]);
    let notes = node.apply(firewall).unwrap();
    assert_eq!(notes, ["not enforced: spec.ingress[0]: network policies are not enforced yet"]);
    let overview = node.index.overview();
    let states: Vec<_> = overview.policies.iter().map(|policy| policy.state).collect();
    assert_eq!(states, ["NotEnforced", "NotEnforced"]);
}

#[test]
fn calls_whose_path_no_hook_shows_are_told_before_any_workload_is_there() {
    let mut node = Fixture::new();
    let watching = |name: &str, calls: &str| {
        format!(
            "apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {{name: {name}}}\nspec:\n  \
             syscalls: {{matchPaths: [{{syscall: [{calls}], path: /etc/}}]}}\n"
        )
    };
    assert_eq!(node.apply(&watching("a-seen", "unlink")).unwrap(), Vec::<String>::new());
    for (name, calls) in [("b-mixed", "unlink, fsync"), ("c-unseen", "fsync")] {
        let notes = node.apply(&watching(name, calls)).unwrap();
        let [told] = notes.as_slice() else { panic!("{notes:?}") };
        assert!(
            told.starts_with(
                "not enforced: spec.syscalls.matchPaths[0]: no hook shows the path of fsync"
            ),
            "{told}"
        );
    }
    let overview = node.index.overview();
    let states: Vec<_> = overview.policies.iter().map(|policy| policy.state).collect();
    assert_eq!(states, ["Enforced", "Partial", "NotEnforced"]);
}

#[test]
fn what_a_comparison_found_is_told_once() {
    let mut node = Fixture::new();
    let repair = Repair::done(enforce::RepairKind::Pin, "the pin was gone");
    node.enforcer.asked().damaged = vec![repair.clone()];
    assert_eq!(node.index.compare(), [repair]);
    assert_eq!(node.index.compare(), []);
}
