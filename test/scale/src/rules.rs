//! Rules of an application in the shapes that published policies have: mostly exact paths and directories, some for
//! certain programs only, a few patterns.

use std::{collections::BTreeMap, fmt::Write as _};

use policy::Policy;
use ruleset::{Links, Postures, RuleSet, Workload, WorkloadKind};

/// Namespaces that the applications of a node are spread over.
const NAMESPACES: u32 = 25;

/// What many policies forbid to run.
const TOOLS: [&str; 24] = [
    "apt", "apt-get", "bash", "chgrp", "chmod", "chown", "chpasswd", "curl", "dash", "dpkg",
    "groupadd", "lastlog", "nc", "newgrp", "nmap", "passwd", "scp", "ssh", "sudo", "tcpdump",
    "useradd", "usermod", "vigr", "wget",
];

/// The label by which policies select an application.
pub fn label(application: u32) -> String {
    format!("app-{application}")
}

pub fn namespace(application: u32) -> String {
    format!("team-{}", application % NAMESPACES)
}

/// A policy of so many rules for one application.
pub fn policy_text(application: u32, count: u32) -> String {
    let mut sections: BTreeMap<&str, BTreeMap<&str, String>> = BTreeMap::new();
    for number in 0..count {
        let (section, list, entry) = rule(application, number);
        let list = sections.entry(section).or_default().entry(list).or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(list, "    - {{{entry}}}");
    }
    let mut text = format!(
        "apiVersion: security.kubearmor.com/v1\n\
         kind: KubeArmorPolicy\n\
         metadata: {{name: protect-{app}, namespace: {namespace}}}\n\
         spec:\n\
         \x20 selector: {{matchLabels: {{app: {app}}}}}\n\
         \x20 severity: 5\n\
         \x20 tags: [MITRE, application]\n\
         \x20 message: not for {app}\n\
         \x20 action: Block\n",
        app = label(application),
        namespace = namespace(application),
    );
    for (section, lists) in sections {
        let _ = writeln!(text, "  {section}:");
        for (list, entries) in lists {
            let _ = writeln!(text, "   {list}:\n{entries}", entries = entries.trim_end());
        }
    }
    text
}

/// Section, list and entry of one rule.
fn rule(application: u32, number: u32) -> (&'static str, &'static str, String) {
    let app = label(application);
    let turn = number / 10;
    match number % 10 {
        0 => match usize::try_from(turn).ok().and_then(|turn| TOOLS.get(turn)) {
            Some(tool) => ("process", "matchPaths", format!("path: /usr/bin/{tool}")),
            None => ("process", "matchPaths", format!("path: /usr/local/bin/{app}-tool-{turn}")),
        },
        1 => {
            let source = format!("fromSource: [{{path: /opt/{app}/bin/server}}]");
            let path = format!("path: /opt/{app}/bin/worker-{turn}, {source}");
            ("process", "matchPaths", path)
        }
        2 => {
            let dir = format!("dir: /var/lib/{app}/data-{turn}/, recursive: true");
            ("file", "matchDirectories", dir)
        }
        3 => ("file", "matchPaths", format!("path: /etc/{app}/conf.d/{turn:02}-listen.conf")),
        4 => {
            let path = format!("path: /etc/{app}/tls/service-{turn}.key, readOnly: true");
            ("file", "matchPaths", path)
        }
        5 => ("file", "matchDirectories", format!("dir: /srv/{app}/public/v{turn}/")),
        6 => {
            let source = format!("fromSource: [{{path: /opt/{app}/bin/agent-{}}}]", turn % 3);
            let path = format!("path: /run/secrets/{app}/token-{turn}, {source}");
            ("file", "matchPaths", path)
        }
        7 => ("file", "matchPaths", format!("path: /usr/share/{app}/i18n/messages_{turn}.json")),
        8 if turn % 4 == 3 => {
            ("file", "matchPatterns", format!("pattern: /var/log/{app}/worker-{turn}-*.log"))
        }
        8 => ("file", "matchPaths", format!("path: /var/log/{app}/worker-{turn}.log")),
        _ => {
            let path = format!("path: /home/{app}/.config/tool-{turn}/settings.toml");
            ("file", "matchPaths", path)
        }
    }
}

/// The policy as the agent reads it; nothing if it is wrong.
pub fn policies(application: u32, count: u32) -> Vec<Policy> {
    let parsed = policy::parse(&policy_text(application, count), "scale.yaml");
    if parsed.has_errors() { Vec::new() } else { parsed.policies }
}

/// What governs each container of an application.
pub fn rule_set(application: u32, count: u32) -> RuleSet {
    let app = label(application);
    let workload = Workload {
        kind: WorkloadKind::Container,
        name: "main".to_owned(),
        namespace: namespace(application),
        labels: BTreeMap::from([("app".to_owned(), app)]),
    };
    let policies = policies(application, count);
    ruleset::build(&policies, &workload, Postures::default(), &Links::default())
}
