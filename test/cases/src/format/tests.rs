//! What cases say, and how mistakes in them are told.

use std::env;

use super::*;

const SMALL: &str = r#"
name: small
about: A case with a bit of everything
enforcers: [bpf]
requires: [tty, "kernel>=6.2"]
containers:
- {name: web, labels: {app: web}, files: {/etc/a: "1", /etc/d/: "", /etc/l: {link: /etc/a}}}
policies:
- {kind: KubeArmorPolicy, metadata: {name: "on"}}
- "kind:\tKubeArmorPolicy\n"
steps:
- run: [cat, /etc/a]
  in: web
  expect: {exit: nonzero, stderr: {contains: denied}}
  alerts: [{PolicyName: small, UID: 0}]
- {agent: restart}
- {counted: {policy: small, action: Block, at_least: 2}}
"#;

fn refused(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "the example has no {from}");
    Case::parse(&SMALL.replacen(from, to, 1)).unwrap_err()
}

#[test]
fn reads_a_case() {
    let case = Case::parse(SMALL).unwrap();
    assert_eq!(case.containers[0].rootfs, Rootfs::Debian);
    assert_eq!(case.containers[0].namespace, "default");
    assert!(matches!(case.containers[0].files[Path::new("/etc/l")], Content::Link(_)));
    assert_eq!(case.policies[1].0, "kind:\tKubeArmorPolicy\n", "byte for byte");
    assert!(
        case.policies[0].0.contains(r#""name": "on""#),
        "still a string: {}",
        case.policies[0].0
    );
    assert!(matches!(case.steps[1], Step::Agent { action: AgentAction::Restart, .. }));
}

#[test]
fn nothing_unknown_is_passed_over() {
    assert!(refused("about:", "abuot:").contains("abuot"));
    assert!(refused("expect:", "expects:").contains("expects"));
    assert!(refused("stderr:", "strerr:").contains("strerr"));
    assert!(refused("[tty,", "[tyy,").contains("tyy"));
    assert!(refused("labels:", "lables:").contains("lables"));
    assert!(refused("{agent: restart}", "{agent: restart, in: web}").contains("`in`"));
    assert!(refused("{agent: restart}", "{agent: restart, stop: web}").contains("one thing"));
    assert!(refused("in: web", "in: wbe").contains("no container wbe"));
}

#[test]
fn reads_every_shared_case() {
    let shared = env::var_os("KUBEARMOR_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let folder = shared.join("cases");
    if !folder.exists() {
        println!("skipped: no ../shared");
        return;
    }
    let cases = Case::read_folder(&folder).unwrap_or_else(|error| panic!("{error}"));
    assert!(cases.len() > 100, "{} cases", cases.len());
}

#[test]
fn reads_the_project_s_own_cases() {
    for folder in ["smoke", "own", "runtimes"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let cases = Case::read_folder(&folder).unwrap_or_else(|error| panic!("{error}"));
        assert!(!cases.is_empty());
    }
}
