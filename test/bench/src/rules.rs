//! The rules that are in force while operations are counted: as a policy, and as an `AppArmor`
//! profile of the same meaning. No measured operation is denied by any of them.

use std::{collections::BTreeMap, fmt::Write as _, path::Path, sync::Arc};

use anyhow::{Result, ensure};
use ruleset::{Links, Postures, RuleSet, Workload, WorkloadKind};

/// The name of the `AppArmor` profile.
pub(crate) const PROFILE: &str = "bench";
const APP: &str = "bench";
const BLOCKED_PROGRAM: &str = "/usr/bin/nmap";

/// The paths of `count` rules: one next to what is measured, the others all over a root file
/// system, in the shapes that applications give their files.
fn paths(count: u32, neighbour: &Path) -> impl Iterator<Item = String> {
    let elsewhere = (1..count).map(|i| match i % 5 {
        0 => format!("/srv/app-{}/data/file-{i:05}.conf", i % 97),
        1 => format!("/var/lib/service-{}/state/{}/segment-{i:05}.db", i % 53, 2020 + i % 7),
        2 => format!(
            "/etc/{}-{}/conf.d/{i:05}-local.yaml",
            ["nginx", "redis"][i as usize % 2],
            i % 41
        ),
        3 => format!("/opt/vendor-{}/release-{}/lib/module-{i:05}.so", i % 31, i % 7),
        _ => format!("/home/user-{}/.config/tool-{}/key-{i:05}.pem", i % 211, i % 13),
    });
    std::iter::once(neighbour.display().to_string()).chain(elsewhere)
}

/// What governs a container: `count` rules for paths, and one each for programs and sockets, so
/// that those hooks have something to decide too.
pub(crate) fn rule_set(count: u32, neighbour: &Path) -> Result<Arc<RuleSet>> {
    let parsed = policy::parse(&policy_text(count, neighbour), "bench.yaml");
    ensure!(!parsed.has_errors(), "the policy is wrong: {:?}", parsed.diagnostics.first());
    let workload = Workload {
        kind: WorkloadKind::Container,
        name: APP.to_owned(),
        namespace: "default".to_owned(),
        labels: BTreeMap::from([("app".to_owned(), APP.to_owned())]),
    };
    let rules = ruleset::build(&parsed.policies, &workload, Postures::default(), &Links::default());
    ensure!(rules.rules.len() == count as usize + 2, "{} rules came out", rules.rules.len());
    Ok(Arc::new(rules))
}

fn policy_text(count: u32, neighbour: &Path) -> String {
    let mut text = format!(
        "apiVersion: security.kubearmor.com/v1\n\
         kind: KubeArmorPolicy\n\
         metadata: {{name: bench, namespace: default}}\n\
         spec:\n\
         \x20 selector: {{matchLabels: {{app: {APP}}}}}\n\
         \x20 action: Block\n\
         \x20 process: {{matchPaths: [{{path: {BLOCKED_PROGRAM}}}]}}\n\
         \x20 network: {{matchProtocols: [{{protocol: raw}}]}}\n\
         \x20 file:\n\
         \x20   matchPaths:\n"
    );
    for path in paths(count, neighbour) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    - path: {path}");
    }
    text
}

/// The same as an `AppArmor` profile: everything is allowed but what the rules block.
pub(crate) fn profile(count: u32, neighbour: &Path) -> String {
    let mut text = format!(
        "profile {PROFILE} {{\n\
         \x20 /{{,**}} mrwlkix,\n\
         \x20 network,\n\
         \x20 capability,\n\
         \x20 signal,\n\
         \x20 unix,\n\
         \x20 deny {BLOCKED_PROGRAM} x,\n\
         \x20 deny network inet raw,\n"
    );
    for path in paths(count, neighbour) {
        let _ = writeln!(text, "  deny {path} mrwlkx,");
    }
    text.push_str("}\n");
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn as_many_rules_as_asked_for() {
        let neighbour = Path::new("/srv/bench/arm-0/secret.key");
        for count in [1, 100, 1_000] {
            let distinct: BTreeSet<String> = paths(count, neighbour).collect();
            assert_eq!(distinct.len(), count as usize);
            assert!(rule_set(count, neighbour).is_ok(), "{:?}", rule_set(count, neighbour).err());
        }
    }
}
