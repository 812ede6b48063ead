//! What lint finds in small collections, and what it leaves in peace.

use lint::{Finding, Level, Options, Report, Source, lint};
use ruleset::EnforcerKind;

fn policy(kind: &str, name: &str, spec: &str) -> String {
    let spec = spec.trim_matches('\n').replace('\n', "\n  ");
    format!(
        "apiVersion: security.kubearmor.com/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  {spec}\n"
    )
}

fn container(spec: &str) -> String {
    policy("KubeArmorPolicy", "p", spec)
}

fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), text: text.to_owned(), named: false }
}

fn read(texts: &[&str]) -> Report {
    let sources: Vec<_> =
        (0..).zip(texts).map(|(number, text)| source(&format!("{number}.yaml"), text)).collect();
    lint(&sources, &Options::default())
}

/// `level[code] field`
fn found(texts: &[&str]) -> Vec<String> {
    let line = |f: &Finding| format!("{}[{}] {}", f.level, f.code, f.field);
    read(texts).findings.iter().map(line).collect()
}

fn message(text: &str, code: &str) -> String {
    let report = read(&[text]);
    let finding = report.findings.iter().find(|finding| finding.code == code);
    finding.map(|finding| finding.message.clone()).unwrap_or_default()
}

#[test]
fn what_is_accepted_with_a_warning_is_an_error_here() {
    let text = container("file:\n  matchPaths:\n  - path: /a\n    readonly: true\n  - path: b c");
    assert_eq!(
        found(&[&text]),
        [
            "error[unknown-field] spec.file.matchPaths[0].readonly",
            "error[never-matches] spec.file.matchPaths[1].path",
        ]
    );
}

#[test]
fn patterns_that_no_path_can_match() {
    let text = container(
        "file: {matchPatterns: [{pattern: '/a//b*'}, {pattern: '/a/../*.x'}, {pattern: '/x*/'}, {pattern: '/a[/]b'}, {pattern: '/a**'}]}",
    );
    let places = |number| format!("error[never-matches] spec.file.matchPatterns[{number}]");
    assert_eq!(found(&[&text]), [0, 1, 2, 3].map(places));
}

#[test]
fn an_allow_turns_its_class_into_an_allow_list() {
    let of = |spec: &str| found(&[&container(spec)]);
    assert_eq!(
        of("process: {matchPaths: [{path: /bin/a}]}\naction: Allow"),
        ["note[allow-list] spec.process.matchPaths[0]"]
    );
    assert_eq!(
        of("file: {matchPaths: [{path: /a}, {path: /b, action: Allow}]}"),
        ["warning[allow-list] spec.file.matchPaths[1]"]
    );
    let text = container(
        "file: {matchPaths: [{path: /a, fromSource: [{path: /bin/cat}]}]}\naction: Allow",
    );
    assert!(message(&text, "allow-list").contains("for every program and not only for `/bin/cat`"));
    assert_eq!(read(&[&text]).findings[0].level, Level::Warning);
}

#[test]
fn a_rule_that_never_decides_is_told_with_those_that_do() {
    let text = container(
        "file:\n  matchDirectories: [{dir: /srv/, recursive: true}, {dir: /srv/a/}]\n  matchPatterns: [{pattern: '/srv/**'}]",
    );
    assert_eq!(found(&[&text]), ["warning[shadowed] spec.file.matchDirectories[1]",]);
    assert_eq!(
        message(&text, "shadowed"),
        "`Block` of `/srv/a/` never decides: spec.file.matchPatterns[0] on line 7, `Block` of `/srv/**` \
         decides before it, for example reading `/srv/a`"
    );
}

#[test]
fn what_several_cover_together_is_covered() {
    let text = container(
        "file: {matchPatterns: [{pattern: '/a/{b,c}/*'}, {pattern: '/a/b/**'}, {pattern: '/a/c/**'}]}",
    );
    assert_eq!(found(&[&text]), ["warning[shadowed] spec.file.matchPatterns[0]"]);
    let message = message(&text, "shadowed");
    assert!(message.contains("`/a/b/**`; ") && message.contains("`/a/c/**` decide before it"));
    // A name that is no text is one that only the star takes.
    let text = container("file: {matchPatterns: [{pattern: '/a/{?,?*}'}, {pattern: '/a/*'}]}");
    assert_eq!(found(&[&text]), [] as [&str; 0]);
}

#[test]
fn conditions_keep_a_rule_alive() {
    let alive = [
        "file: {matchPaths: [{path: /a, ownerOnly: true}], matchDirectories: [{dir: /a/}]}",
        "process: {matchPaths: [{path: /bin/a, action: Allow, allowedArgs: [-x]}], matchDirectories: [{dir: /bin/}]}",
        "file: {matchPaths: [{path: /a, pts: false}, {path: /a, action: Allow}]}",
        "network: {matchProtocols: [{protocol: raw}, {protocol: tcp, fromSource: [{path: /bin/a}]}]}",
        "file: {matchPaths: [{path: /a, action: Audit}, {path: /a, readOnly: true}]}",
    ];
    for spec in alive {
        let found = found(&[&container(spec)]);
        assert!(!found.iter().any(|line| line.contains("shadowed")), "{spec}: {found:?}");
    }
    let dead = "file: {matchPaths: [{path: /a, action: Audit}, {path: /a}]}";
    assert_eq!(found(&[&container(dead)]), ["warning[shadowed] spec.file.matchPaths[0]"]);
}

#[test]
fn exceptions_are_no_contradiction() {
    let of = |spec: &str| {
        let mut found = found(&[&container(spec)]);
        found.retain(|line| !line.contains("allow-list"));
        found
    };
    assert_eq!(
        of("file: {matchPaths: [{path: /etc/a, action: Allow}], matchDirectories: [{dir: /etc/}]}"),
        [] as [&str; 0]
    );
    assert_eq!(
        of(
            "process: {matchPaths: [{execname: apt}], matchDirectories: [{dir: /bin/, action: Allow}]}"
        ),
        [] as [&str; 0]
    );
    assert_eq!(
        of("file: {matchPaths: [{path: /a, action: Allow}, {path: /a, pts: false}]}"),
        [] as [&str; 0]
    );
    assert_eq!(
        of(
            "file: {matchPatterns: [{pattern: '/a/*.x', action: Allow}], matchDirectories: [{dir: /a/b/, recursive: true}]}"
        ),
        [] as [&str; 0],
        "they never meet"
    );
}

#[test]
fn an_overlap_is_told_with_a_witness_and_the_winner() {
    let text = container(
        "file: {matchPatterns: [{pattern: '/a/*.x', action: Allow}, {pattern: '/a/b*'}]}",
    );
    assert_eq!(
        message(&text, "contradictory"),
        "`Allow` of `/a/*.x` is contradicted by spec.file.matchPatterns[1] on line 5, `Block` of `/a/b*`: \
         reading `/a/b.x` is decided by the latter, since it is as specific or more so, and `Block` wins where they \
         are equal"
    );
}

#[test]
fn protocols_and_names_overlap_too() {
    let of = |spec: &str| {
        let mut found = found(&[&container(spec)]);
        found.retain(|line| !line.contains("allow-list"));
        found
    };
    assert_eq!(
        of("network: {matchProtocols: [{protocol: stream, action: Allow}, {protocol: tcp}]}"),
        ["warning[contradictory] spec.network.matchProtocols[0]"]
    );
    assert_eq!(
        of("network: {matchProtocols: [{protocol: tcp}, {protocol: udp, action: Allow}]}"),
        [] as [&str; 0]
    );
    assert_eq!(
        of(
            "capabilities: {matchCapabilities: [{capability: chown}, {capability: CAP_CHOWN, action: Allow}]}"
        ),
        ["warning[shadowed] spec.capabilities.matchCapabilities[1]"]
    );
}

#[test]
fn presets_are_each_a_matter_of_its_own() {
    let of = |spec: &str| found(&[&container(spec)]);
    assert_eq!(of("presets: [{name: exec}, {name: filelessExec, action: Audit}]"), [] as [&str; 0]);
    assert_eq!(
        of("presets: [{name: exec}, {name: exec, action: Audit}]"),
        ["warning[shadowed] spec.presets[1]"]
    );
}

#[test]
fn domains_lie_below_each_other() {
    let of = |spec: &str| {
        let mut found = found(&[&container(spec)]);
        found.retain(|line| !line.contains("allow-list"));
        found
    };
    let exception =
        "network: {matchDNSQueries: [{domain: example}, {domain: a.example, action: Allow}]}";
    assert_eq!(of(exception), [] as [&str; 0], "the name that lies deeper is more specific");
    let twice =
        "network: {matchDNSQueries: [{domain: example}, {domain: Example., action: Allow}]}";
    assert_eq!(of(twice), ["warning[shadowed] spec.network.matchDNSQueries[1]"]);
}

#[test]
fn rules_on_system_calls_are_left_in_peace() {
    let text = container("syscalls: {matchSyscalls: [{syscall: [unlink]}, {syscall: [unlink]}]}");
    assert_eq!(found(&[&text]), [] as [&str; 0]);
}

#[test]
fn policies_are_compared_where_they_meet_only() {
    let blocks = |labels: &str| {
        format!("selector: {{matchLabels: {labels}}}\nfile: {{matchPaths: [{{path: /a}}]}}")
    };
    let allows = |labels: &str| {
        format!(
            "selector: {{matchLabels: {labels}}}\nfile: {{matchPaths: [{{path: /a}}]}}\naction: Allow"
        )
    };
    let two = |one: &str, two: &str| {
        let one = policy("KubeArmorPolicy", "one", &blocks(one));
        let two = policy("KubeArmorPolicy", "two", &allows(two));
        let mut found = found(&[&one, &two]);
        found.retain(|line| !line.contains("allow-list"));
        found
    };
    assert_eq!(two("{app: x}", "{app: y}"), [] as [&str; 0]);
    assert_eq!(two("{app: x}", "{app: x}"), ["warning[shadowed] spec.file.matchPaths[0]"]);
    assert_eq!(two("{app: x}", "{app: x, tier: z}"), ["warning[shadowed] spec.file.matchPaths[0]"]);
    assert_eq!(
        two("{app: x, tier: z}", "{app: x}"),
        ["warning[contradictory] spec.file.matchPaths[0]"]
    );
    assert_eq!(two("{app: x}", "{tier: z}"), ["note[contradictory] spec.file.matchPaths[0]"]);
}

#[test]
fn a_namespaced_allow_does_not_undo_a_cluster_block() {
    let cluster = policy("KubeArmorClusterPolicy", "c", "file: {matchDirectories: [{dir: /a/}]}");
    let allow = policy("KubeArmorPolicy", "n", "file: {matchPaths: [{path: /a/b}]}\naction: Allow");
    let found = found(&[&cluster, &allow]);
    assert!(found.contains(&"warning[shadowed] spec.file.matchPaths[0]".to_owned()), "{found:?}");
}

#[test]
fn policies_of_one_name() {
    let one = container("file: {matchPaths: [{path: /a}]}");
    let two = container("file: {matchPaths: [{path: /b}]}");
    let report = read(&[&one, &two]);
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert_eq!((finding.code, finding.file.as_str()), ("duplicate-policy", "1.yaml"));
    assert!(finding.message.contains("0.yaml:1"), "{}", finding.message);
    assert_eq!(report.policies, 2);
    let named = one.replace("{name: p}", "{name: p, namespace: default}");
    assert_eq!(found(&[&one, &named]), ["error[duplicate-policy] metadata.name"]);
    let elsewhere = one.replace("{name: p}", "{name: p, namespace: shop}");
    assert_eq!(found(&[&one, &elsewhere]), [] as [&str; 0]);
    let host =
        policy("KubeArmorHostPolicy", "p", "nodeSelector: {}\nfile: {matchPaths: [{path: /a}]}");
    assert_eq!(found(&[&one, &host]), [] as [&str; 0], "kinds do not share names");
}

#[test]
fn other_documents_are_passed_over_with_a_reason() {
    let policy = container("file: {matchPaths: [{path: /a}]}");
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, name: d}\n";
    let report = read(&[
        &format!("{deployment}---\n{policy}"),
        "{{- if .Values.on }}\nkind: KubeArmorPolicy\n{{- end }}\n",
        "# nothing\n",
        "replicas: 3\n",
        "[1, 2]\n",
    ]);
    assert_eq!(report.findings, []);
    let skipped: Vec<_> =
        report.skipped.iter().map(|s| format!("{}:{} {}", s.file, s.line, s.reason)).collect();
    assert_eq!(
        skipped,
        [
            "0.yaml:1 `Deployment` is no kind of policy",
            "1.yaml:1 is a template; render it and check the outcome",
            "2.yaml:1 is empty",
            "3.yaml:1 has no `kind`",
            "4.yaml:1 is no mapping",
        ]
    );
    assert_eq!(report.policies, 1);
}

#[test]
fn what_is_meant_as_a_policy_is_not_passed_over() {
    assert_eq!(
        found(&["kind: KubeArmorPolcy\nmetadata: {name: x}\n"]),
        ["error[unknown-kind] kind"]
    );
    assert_eq!(
        found(&["apiVersion: security.kubearmor.com/v1\nkind: Foo\n"]),
        ["error[unknown-kind] kind"]
    );
    let named = Source { name: "d".into(), text: "kind: Deployment\n".into(), named: true };
    let report = lint(&[named], &Options::default());
    assert_eq!(report.findings[0].code, "no-policy");
}

#[test]
fn rules_that_an_enforcer_cannot_express() {
    let text = container(
        "process: {matchPaths: [{path: /bin/a, allowedArgs: [x]}, {path: /bin/b}]}\nnetwork: {matchProtocols: [{protocol: icmp}]}",
    );
    let with = |enforcer| {
        let options = Options { enforcer: Some(enforcer) };
        let report = lint(&[source("p", &text)], &options);
        let fields = report.findings.iter().map(|finding| finding.field.clone());
        fields.collect::<Vec<_>>()
    };
    assert_eq!(with(EnforcerKind::Bpf), [] as [&str; 0]);
    assert_eq!(
        with(EnforcerKind::AppArmor),
        ["spec.process.matchPaths[0]", "spec.network.matchProtocols[0]"]
    );
    assert_eq!(with(EnforcerKind::Selinux).len(), 3, "containers are not its business");
}

#[test]
fn what_holds_nowhere_yet_is_told_apart_from_what_one_enforcer_cannot_express() {
    let with = |text: &str, enforcer| {
        let options = Options { enforcer: Some(enforcer) };
        let report = lint(&[source("p", text)], &options);
        report.findings.iter().map(|f| format!("{}: {}", f.code, f.message)).collect::<Vec<_>>()
    };
    let native = container("apparmor: 'deny /srv/** w,'");
    assert_eq!(with(&native, EnforcerKind::AppArmor), [] as [&str; 0]);
    assert_eq!(
        with(&native, EnforcerKind::Bpf),
        ["not-expressible: would not hold under BPF-LSM: only AppArmor enforces its native rules"]
    );
    let device = policy(
        "KubeArmorHostPolicy",
        "p",
        "nodeSelector: {}\ndevice: {matchDevice: [{class: HID}]}",
    );
    assert_eq!(
        with(&device, EnforcerKind::Bpf),
        [
            "not-enforced-yet: would not be enforced, whichever the enforcer: device rules are not enforced yet"
        ]
    );
    let calls = container(
        "syscalls: {matchPaths: [{syscall: [unlink, fsync], path: /etc/, recursive: true}]}",
    );
    let found = with(&calls, EnforcerKind::Bpf);
    assert!(found[0].contains("would in part not hold"), "{found:?}");
    assert!(found[0].contains("no hook shows the path of fsync"), "{found:?}");
}

#[test]
fn a_policy_that_only_blocks_is_named_with_the_one_that_allows() {
    let spec = |labels: &str, path: &str, action: &str| {
        format!(
            "selector: {{matchLabels: {labels}}}\nfile: {{matchPaths: [{{path: {path}}}]}}\naction: {action}"
        )
    };
    let told = |allow: &str, block: &str| {
        let allow = policy("KubeArmorPolicy", "allow", &spec(allow, "/a", "Allow"));
        let block = policy("KubeArmorPolicy", "block", &spec(block, "/b", "Block"));
        let report = read(&[&allow, &block]);
        let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
        (finding.level, finding.message.clone())
    };
    for (allow, block) in [
        ("{app: x}", "{app: x}"),
        ("{app: x, tier: z}", "{app: x}"),
        ("{app: x}", "{app: x, a: b}"),
    ] {
        let (level, message) = told(allow, block);
        assert_eq!(level, Level::Warning, "{allow} and {block}");
        let words = ", though KubeArmorPolicy block (1.yaml:1) only blocks";
        assert!(message.ends_with(words), "{message}");
    }
    for (allow, block) in [("{app: x}", "{app: y}"), ("{app: x}", "{tier: z}")] {
        assert_eq!(told(allow, block).0, Level::Note, "{allow} and {block}");
    }
}

/// Rules on one program, each of whose lists of arguments lacks one of as many: a command line can keep to any choice
/// of them.
fn lacking_one(count: usize) -> String {
    let names: Vec<String> = (0..count).map(|number| format!("a{number}")).collect();
    let rule = |number: usize| {
        let others = names.iter().enumerate().filter(|(other, _)| *other != number);
        let others: Vec<&str> = others.map(|(_, name)| name.as_str()).collect();
        format!("{{path: /bin/x, action: Allow, allowedArgs: [{}]}}", others.join(", "))
    };
    let rules: Vec<String> = (0..count).map(rule).collect();
    container(&format!("process: {{matchPaths: [{}]}}", rules.join(", ")))
}

#[test]
fn many_lists_of_arguments_are_looked_at_in_full() {
    assert_eq!(found(&[&lacking_one(8)]), ["note[allow-list] spec.process.matchPaths[0]"]);
}

#[test]
fn what_was_not_looked_at_in_full_is_told_and_not_called_shadowed() {
    let text = lacking_one(13);
    assert_eq!(
        found(&[&text]),
        ["warning[not-analysed] spec", "note[allow-list] spec.process.matchPaths[0]"]
    );
    let message = message(&text, "not-analysed");
    assert!(message.contains("spec.process.matchPaths["), "names a rule: {message}");
}
