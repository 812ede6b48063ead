//! What each part of the language means and refuses, on small policies.

use policy::{
    Action, Attributes, Capability, Diagnostic, Expression, ExpressionKey, FirewallLevel,
    FirewallProtocol, Kind, Operator, PathObject, Policy, Preset, Protocol, Selector,
    SyscallSource, parse,
};

/// A container policy with this spec, written at the left margin.
fn text(spec: &str) -> String {
    text_of(Kind::Container, spec)
}

fn text_of(kind: Kind, spec: &str) -> String {
    let spec = spec.trim_matches('\n').replace('\n', "\n  ");
    format!(
        "apiVersion: security.kubearmor.com/v1\nkind: {kind}\nmetadata: {{name: p}}\nspec:\n  {spec}\n"
    )
}

fn read(text: &str) -> (Policy, Vec<Diagnostic>) {
    let mut parsed = parse(text, "p.yaml");
    assert!(!parsed.has_errors(), "{text}\n{:#?}", parsed.diagnostics);
    assert_eq!(parsed.policies.len(), 1, "{text}");
    (parsed.policies.remove(0), parsed.diagnostics)
}

/// The policy of a text that raises no finding at all.
fn clean(text: &str) -> Policy {
    let (policy, diagnostics) = read(text);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    policy
}

/// The codes and fields of the warnings about a text that is accepted.
fn warnings(text: &str) -> Vec<(&'static str, String)> {
    read(text).1.into_iter().map(|found| (found.code, found.field)).collect()
}

/// The only error of a text that is refused.
fn error(text: &str) -> Diagnostic {
    let parsed = parse(text, "p.yaml");
    assert!(parsed.policies.is_empty(), "{text}");
    let mut errors: Vec<_> = parsed.diagnostics.into_iter().filter(Diagnostic::is_error).collect();
    assert_eq!(errors.len(), 1, "{text}\n{errors:#?}");
    errors.remove(0)
}

fn assert_error(text: &str, code: &str, field: &str) {
    let found = error(text);
    assert_eq!((found.code, found.field.as_str()), (code, field), "{text}");
}

const RULE: &str = "process: {matchPaths: [{path: /bin/a}]}";

#[test]
fn attributes_inherit_each_on_its_own() {
    let policy = clean(&text(
        r"
severity: 2
tags: [base]
message: from the spec
action: audit
file:
  severity: 7
  action: ALLOW
  matchPaths:
  - path: /etc/a
    message: from the rule
  - path: /etc/b
    action: Block
    tags: [own]
    severity: 9
process:
  matchPaths:
  - path: /bin/a
",
    ));
    let attributes = |severity, tag: &str, message: &str, action| Attributes {
        severity: Some(severity),
        tags: vec![tag.to_owned()],
        message: message.to_owned(),
        action,
    };
    let [a, b] = policy.spec.file.as_slice() else { panic!() };
    assert_eq!(a.attributes, attributes(7, "base", "from the rule", Action::Allow));
    assert_eq!(b.attributes, attributes(9, "own", "from the spec", Action::Block));
    assert_eq!(
        policy.spec.process[0].attributes,
        attributes(2, "base", "from the spec", Action::Audit)
    );
}

#[test]
fn nothing_said_is_block_without_severity() {
    let rule = &clean(&text(RULE)).spec.process[0];
    assert_eq!(rule.attributes.action, Action::Block);
    assert_eq!(rule.attributes.severity, None);
    assert_eq!(rule.place.to_string(), "spec.process.matchPaths[0]");
}

#[test]
fn every_field_of_path_rules() {
    let policy = clean(&text(
        r"
process:
  matchPaths:
  - path: /usr/bin/python3
    allowedArgs: [-m, random]
    ownerOnly: true
    pts: false
    fromSource: [{path: /bin/bash}, {path: /bin/sh}]
  - execname: nmap
    allowedArgs: []
  matchDirectories:
  - {dir: /opt/, recursive: true}
  matchPatterns:
  - pattern: /tmp/{a,b}*
file:
  matchPaths:
  - {path: /etc/shadow, readOnly: true, pts: true}
  matchDirectories:
  - {dir: /, readOnly: true}
",
    ));
    let [python, nmap, opt, pattern] = policy.spec.process.as_slice() else { panic!() };
    assert_eq!(python.sources, ["/bin/bash", "/bin/sh"]);
    assert_eq!(python.allowed_args.as_deref(), Some(&["-m".to_owned(), "random".to_owned()][..]));
    assert!(python.owner_only && python.terminal_only && !python.read_only);
    assert_eq!(nmap.object, PathObject::ExecName("nmap".into()));
    assert_eq!(nmap.allowed_args.as_deref(), Some(&[][..]));
    assert_eq!(opt.object, PathObject::Directory { dir: "/opt/".into(), recursive: true });
    assert_eq!(opt.place.to_string(), "spec.process.matchDirectories[0]");
    assert_eq!(pattern.object, PathObject::Pattern("/tmp/{a,b}*".into()));
    let [shadow, root] = policy.spec.file.as_slice() else { panic!() };
    assert!(shadow.read_only && !shadow.terminal_only);
    assert_eq!(root.object, PathObject::Directory { dir: "/".into(), recursive: false });
}

#[test]
fn globs_in_paths_are_patterns_unless_escaped() {
    let (policy, found) = read(&text(r"file: {matchPaths: [{path: '/home/*/.ssh'}]}"));
    assert_eq!(policy.spec.file[0].object, PathObject::Pattern("/home/*/.ssh".into()));
    assert_eq!(found[0].code, "pattern-in-path");
    let policy = clean(&text(r"process: {matchPaths: [{path: '/usr/bin/\['}]}"));
    assert_eq!(policy.spec.process[0].object, PathObject::Path("/usr/bin/[".into()));
}

#[test]
fn a_directory_always_ends_in_a_slash() {
    let (policy, found) = read(&text("file: {matchDirectories: [{dir: /root}]}"));
    let root = PathObject::Directory { dir: "/root/".into(), recursive: false };
    assert_eq!(policy.spec.file[0].object, root);
    assert_eq!(found[0].code, "directory-without-slash");
}

#[test]
fn rules_that_can_never_match_are_taken_with_a_warning() {
    for rule in [
        "process: {matchPaths: [{path: bin/sh}]}",
        "process: {matchPaths: [{path: /usr//bin/sh}]}",
        "process: {matchPaths: [{path: /usr/../bin/sh}]}",
        "process: {matchPaths: [{path: /usr/bin/}]}",
        "process: {matchPaths: [{path: /usr/bin/apt install}]}",
        "process: {matchPaths: [{path: /bin/a, fromSource: [{path: sh}]}]}",
        "process: {matchPatterns: [{pattern: '/usr/bin/perl *.pl'}]}",
        "file: {matchPatterns: [{pattern: '*.log'}]}",
        "file: {matchDirectories: [{dir: etc/}]}",
        "network: {matchDNSQueries: [{domain: '*.example.com'}]}",
    ] {
        let found = warnings(&text(rule));
        assert_eq!(found.len(), 1, "{rule}: {found:?}");
        assert_eq!(found[0].0, "never-matches", "{rule}");
    }
}

#[test]
fn long_paths() {
    let path = |length: usize| format!("/{}", "d/".repeat(length / 2)).replace("/d/d/d", "/ddddd");
    let rule = |path: &str| text(&format!("file: {{matchPaths: [{{path: {path}x}}]}}"));
    assert_eq!(clean(&rule(&path(4000))).spec.file.len(), 1);
    assert_error(&rule(&path(5000)), "invalid-value", "spec.file.matchPaths[0].path");
    let name = "n".repeat(300);
    assert_eq!(warnings(&rule(&format!("/{name}")))[0].0, "never-matches");
}

#[test]
fn comma_lists_expand_wherever_they_stand() {
    let policy = clean(&text(
        r#"
network:
  matchProtocols:
  - protocol: sctp
  - {protocol: "TCP, udp", pts: false, fromSource: [{path: /bin/nc}]}
  matchDNSQueries:
  - domain: "Example.COM.,b.example"
capabilities:
  matchCapabilities:
  - capability: net_raw
  - capability: CAP_ChOwn,mknod
"#,
    ));
    let protocols: Vec<_> = policy.spec.protocols.iter().map(|rule| rule.protocol).collect();
    assert_eq!(protocols, [Protocol::Sctp, Protocol::Tcp, Protocol::Udp]);
    assert!(policy.spec.protocols[1].terminal_only);
    assert_eq!(policy.spec.protocols[2].place.to_string(), "spec.network.matchProtocols[1]");
    let domains: Vec<_> = policy.spec.dns.iter().map(|rule| rule.domain.as_str()).collect();
    assert_eq!(domains, ["example.com", "b.example"]);
    let capabilities: Vec<_> = policy.spec.capabilities.iter().map(|r| r.capability).collect();
    assert_eq!(capabilities, [13, 0, 27].map(Capability));
}

#[test]
fn syscall_rules_always_audit() {
    let (policy, found) = read(&text(
        r"
syscalls:
  severity: 4
  matchSyscalls:
  - {syscall: [UNLINK, openat2], action: Block, fromSource: [{path: /bin/a}, {dir: /opt/, recursive: true}]}
  matchPaths:
  - {syscall: [umount], path: /home/, recursive: true}
",
    ));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].field, "spec.syscalls.matchSyscalls[0].action");
    let [calls, paths] = policy.spec.syscalls.as_slice() else { panic!() };
    assert_eq!(calls.attributes.action, Action::Audit);
    assert_eq!(calls.attributes.severity, Some(4));
    assert_eq!(calls.syscalls, ["unlink", "openat2"]);
    let directory = SyscallSource::Directory { dir: "/opt/".into(), recursive: true };
    assert_eq!(calls.sources, [SyscallSource::Path("/bin/a".into()), directory]);
    assert_eq!(paths.syscalls, ["umount2"]);
    assert_eq!(paths.path.as_deref(), Some("/home/"));
    assert!(paths.recursive);
}

#[test]
fn a_preset_audits_or_blocks() {
    let policy = clean(&text(
        r"
severity: 3
action: Allow
presets:
- name: filelessExec
- {name: exec, action: audit}
",
    ));
    let [fileless, exec] = policy.spec.presets.as_slice() else { panic!() };
    assert_eq!(
        (fileless.preset, fileless.attributes.action),
        (Preset::FilelessExec, Action::Block)
    );
    assert_eq!((exec.preset, exec.attributes.action), (Preset::Exec, Action::Audit));
    assert_eq!(exec.attributes.severity, Some(3));
    assert_eq!(policy.not_enforced_yet(), []);
}

#[test]
fn devices_of_hosts() {
    let policy = clean(&text_of(
        Kind::Host,
        r"
nodeSelector: {matchLabels: {kubearmor.io/hostname: '*'}}
device:
  matchDevice:
  - {class: mass-storage, subClass: 6, level: 1}
  - {class: '0x03'}
  - {class: 8, action: Audit}
",
    ));
    let [storage, input, number] = policy.spec.devices.as_slice() else { panic!() };
    assert_eq!((storage.sub_class, storage.level, storage.protocol), (Some(6), Some(1), None));
    assert_eq!(input.class, "0x03");
    assert_eq!(number.attributes.action, Action::Audit);
    assert_eq!(policy.spec.selector.match_labels["kubearmor.io/hostname"], "*");
}

#[test]
fn network_policies() {
    let policy = clean(&text_of(
        Kind::Network,
        r"
nodeSelector: {matchLabels: {zone: a}}
action: Audit
ingress:
- from: [{ipBlock: {cidr: 10.0.0.0/8}}, {ipBlock: {cidr: 'fd00::/8'}}]
  iface: [eth0]
  ports: [{port: ssh}, {port: 8000, endPort: 8080, protocol: udp}]
egress:
- {limit: 10MB, duration: 1h30m, action: Block}
",
    ));
    let [ingress, egress] = policy.spec.firewall.as_slice() else { panic!() };
    assert_eq!(ingress.peers, ["10.0.0.0/8", "fd00::/8"]);
    assert_eq!(ingress.ports[0].protocol, FirewallProtocol::Tcp);
    assert_eq!((ingress.ports[1].port.as_str(), ingress.ports[1].end_port), ("8000", Some(8080)));
    assert_eq!(ingress.attributes.action, Action::Audit);
    assert_eq!((egress.limit, egress.duration), (Some(10 << 20), Some(5400)));
    assert_eq!(egress.attributes.action, Action::Block);
    assert_eq!(policy.spec.firewall_level, FirewallLevel::Node);
}

#[test]
fn network_policies_for_pods_are_quotas() {
    let quota = |rule: &str| {
        text_of(
            Kind::Network,
            &format!("selector: {{matchLabels: {{a: b}}}}\nlevel: policy\negress: [{{{rule}}}]"),
        )
    };
    let policy = clean(&quota("limit: 1G, duration: 10s"));
    assert_eq!(policy.spec.firewall_level, FirewallLevel::Policy);
    assert_error(&quota("ports: [{port: dns}]"), "missing-field", "spec.egress[0]");
    let both = "nodeSelector: {matchLabels: {a: b}}\nselector: {matchLabels: {a: b}}\n\
                egress: [{limit: 1G, duration: 10s}]";
    assert_error(&text_of(Kind::Network, both), "invalid-value", "spec");
}

#[test]
fn selectors() {
    let policy = clean(&text(&format!(
        "selector:\n  matchLabels: {{app: web, kubearmor.io/container.name: '[a, b]'}}\n  \
         matchExpressions: [{{key: label, operator: NotIn, values: [stage=test]}}]\n{RULE}"
    )));
    let selector = &policy.spec.selector;
    assert_eq!(selector.match_labels.len(), 1);
    assert_eq!(selector.containers.as_deref(), Some("[a, b]"));
    let expression = Expression {
        key: ExpressionKey::Label,
        operator: Operator::NotIn,
        values: vec!["stage=test".into()],
    };
    assert_eq!(selector.expressions, [expression]);
    assert_eq!(clean(&text(&format!("selector: {{}}\n{RULE}"))).spec.selector, Selector::default());

    let namespaces = format!(
        "selector: {{matchExpressions: [{{key: namespace, operator: In, values: [a]}}]}}\n{RULE}"
    );
    clean(&text_of(Kind::Cluster, &namespaces));
    let key = "spec.selector.matchExpressions[0].key";
    assert_error(&text(&namespaces), "invalid-value", key);
    let widened = warnings(&text(&format!("selector: {{app: web}}\n{RULE}")));
    assert!(widened.iter().any(|(code, _)| *code == "selects-everything"));
    assert_eq!(warnings(&text_of(Kind::Host, RULE))[0].0, "missing-selector");
}

#[test]
fn refusals_name_the_field() {
    for (spec, code, field) in [
        ("severity: 0\n{RULE}", "invalid-value", "spec.severity"),
        ("severity: high\n{RULE}", "wrong-type", "spec.severity"),
        ("severity: '5'\n{RULE}", "wrong-type", "spec.severity"),
        ("tags: one\n{RULE}", "wrong-type", "spec.tags"),
        ("message: 5\n{RULE}", "wrong-type", "spec.message"),
        ("action: Deny\n{RULE}", "invalid-value", "spec.action"),
        ("selector: {matchLabels: {a: 1}}\n{RULE}", "wrong-type", "spec.selector.matchLabels.a"),
        ("process: [a]", "wrong-type", "spec.process"),
        ("process: {matchPaths: {path: /a}}", "wrong-type", "spec.process.matchPaths"),
        ("process: {matchPaths: [/a]}", "wrong-type", "spec.process.matchPaths[0]"),
        ("process: {matchPaths: []}", "empty-spec", "spec"),
        ("process: {matchPaths: [{ownerOnly: true}]}", "empty-rule", "spec.process.matchPaths[0]"),
        ("process: {matchPaths: [{path: ''}]}", "empty-rule", "spec.process.matchPaths[0].path"),
        (
            "process: {matchPaths: [{execname: a/b}]}",
            "invalid-value",
            "spec.process.matchPaths[0].execname",
        ),
        ("file: {matchPaths: [{execname: b}]}", "empty-rule", "spec.file.matchPaths[0]"),
        (
            "file: {matchPaths: [{path: /a, readOnly: 1}]}",
            "wrong-type",
            "spec.file.matchPaths[0].readOnly",
        ),
        (
            "file: {matchPaths: [{path: /a, fromSource: [{}]}]}",
            "empty-rule",
            "spec.file.matchPaths[0].fromSource[0]",
        ),
        (
            "file: {matchPaths: [{path: /a, fromSource: [/b]}]}",
            "wrong-type",
            "spec.file.matchPaths[0].fromSource[0]",
        ),
        (
            "file: {matchPatterns: [{pattern: '/a['}]}",
            "broken-pattern",
            "spec.file.matchPatterns[0].pattern",
        ),
        ("file: {matchPaths: [{path: '/a{b'}]}", "broken-pattern", "spec.file.matchPaths[0].path"),
        (
            "file: {matchDirectories: [{recursive: true}]}",
            "empty-rule",
            "spec.file.matchDirectories[0]",
        ),
        (
            "network: {matchProtocols: [{protocol: tpc}]}",
            "invalid-value",
            "spec.network.matchProtocols[0].protocol",
        ),
        (
            "network: {matchProtocols: [{protocol: 'tcp,upd'}]}",
            "invalid-value",
            "spec.network.matchProtocols[0].protocol",
        ),
        (
            "network: {matchProtocols: [{protocol: ','}]}",
            "empty-rule",
            "spec.network.matchProtocols[0].protocol",
        ),
        (
            "network: {matchDNSQueries: [{domain: a..b}]}",
            "invalid-value",
            "spec.network.matchDNSQueries[0].domain",
        ),
        (
            "capabilities: {matchCapabilities: [{}]}",
            "empty-rule",
            "spec.capabilities.matchCapabilities[0]",
        ),
        (
            "syscalls: {matchSyscalls: [{syscall: [unlnik]}]}",
            "invalid-value",
            "spec.syscalls.matchSyscalls[0].syscall[0]",
        ),
        ("syscalls: {matchSyscalls: [{}]}", "empty-rule", "spec.syscalls.matchSyscalls[0]"),
        ("presets: [{name: execs}]", "invalid-value", "spec.presets[0].name"),
        ("presets: [{action: Block}]", "empty-rule", "spec.presets[0]"),
        ("apparmor: ''", "empty-spec", "spec"),
    ] {
        assert_error(&text(&spec.replace("{RULE}", RULE)), code, field);
    }
}

#[test]
fn firewall_refusals() {
    for (rule, code, field) in [
        ("{}", "empty-rule", ""),
        ("{ports: [{protocol: TCP}]}", "empty-rule", ".ports[0]"),
        ("{ports: [{port: 0}]}", "invalid-value", ".ports[0].port"),
        ("{ports: [{port: 90, endPort: 80}]}", "invalid-value", ".ports[0].endPort"),
        ("{ports: [{port: ssh, protocol: icmp}]}", "invalid-value", ".ports[0].protocol"),
        ("{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}", "invalid-value", ".from[0].ipBlock.cidr"),
        ("{from: [{}]}", "empty-rule", ".from[0]"),
        ("{limit: 10TB, duration: 1s}", "invalid-value", ".limit"),
        ("{limit: 10MB, duration: soon}", "invalid-value", ".duration"),
        ("{limit: 10MB}", "missing-field", ""),
    ] {
        let spec = format!("nodeSelector: {{matchLabels: {{a: b}}}}\ningress: [{rule}]");
        assert_error(&text_of(Kind::Network, &spec), code, &format!("spec.ingress[0]{field}"));
    }
}

#[test]
fn a_refusal_names_file_line_column_field_and_fix() {
    let found = error(&text("file:\n  matchPaths:\n  - path: /srv/b\n    action: Blok"));
    assert_eq!(
        found.to_string(),
        "p.yaml:8:15: error[invalid-value]: spec.file.matchPaths[0].action: \
         `Blok` is not an action\n  hint: did you mean `Block`?"
    );
}

#[test]
fn all_faults_show_at_once() {
    let parsed = parse(
        &text("severity: 11\naction: Deny\nprocess: {matchPaths: [{path: 5}, {}]}\nfoo: 1"),
        "",
    );
    let fields: Vec<_> = parsed.diagnostics.iter().map(|found| found.field.as_str()).collect();
    let paths = ["spec.process.matchPaths[0].path", "spec.process.matchPaths[1]"];
    assert_eq!(fields, ["spec.severity", "spec.action", paths[0], paths[1], "spec.foo"]);
}

#[test]
fn kinds_and_names() {
    let with = |head: &str| format!("{head}\nspec: {{{RULE}}}\n");
    let api = "apiVersion: security.kubearmor.com/v1";
    for (head, code, field) in [
        ("kind: KubeArmourPolicy\nmetadata: {name: a}", "unknown-kind", "kind"),
        ("metadata: {name: a}", "missing-kind", ""),
        ("kind: KubeArmorPolicy", "missing-name", ""),
        ("kind: KubeArmorPolicy\nmetadata: {name: ''}", "missing-name", "metadata"),
        ("kind: KubeArmorPolicy\nmetadata: {name: a/b}", "invalid-value", "metadata.name"),
        ("kind: KubeArmorPolicy\nmetadata: {name: 5}", "wrong-type", "metadata.name"),
    ] {
        assert_error(&with(&format!("{api}\n{head}")), code, field);
    }
    let version = with("apiVersion: v2\nkind: KubeArmorPolicy\nmetadata: {name: a}");
    assert_error(&version, "unknown-version", "apiVersion");
    let hint = error(&with("kind: KubeArmourPolicy")).hint.unwrap();
    assert_eq!(hint, "did you mean `KubeArmorPolicy`?");
    let (policy, found) = read(&with("kind: KubeArmorPolicy\nmetadata: {name: a, namespace: b}"));
    assert_eq!(policy.id.namespace.as_deref(), Some("b"));
    assert_eq!(found[0].code, "missing-api-version");
    let spaced = with(&format!("{api}\nkind: KubeArmorPolicy\nmetadata: {{name: a b}}"));
    assert_eq!(warnings(&spaced)[0].0, "odd-name");
}

#[test]
fn a_faulty_document_does_not_take_the_others_with_it() {
    let (good, bad) = (text(RULE), text("process: {}"));
    let parsed = parse(&format!("{good}---\n{bad}---\n{good}---\na: [\n---\n---\n{good}"), "f");
    assert_eq!(parsed.policies.len(), 3);
    let codes: Vec<_> = parsed.diagnostics.iter().map(|found| found.code).collect();
    assert_eq!(codes, ["empty-spec", "syntax"]);
}

#[test]
fn lists_of_policies() {
    let item = format!(
        "{{apiVersion: security.kubearmor.com/v1, kind: KubeArmorPolicy, metadata: {{name: a}}, \
         spec: {{{RULE}}}}}"
    );
    for kind in ["List", "KubeArmorPolicyList"] {
        let list = format!("kind: {kind}\nitems:\n- {item}\n- {{kind: Pod}}\n");
        let parsed = parse(&list, "");
        assert_eq!(parsed.policies.len(), 1);
        assert_eq!(parsed.diagnostics[0].field, "items[1].kind");
    }
}

#[test]
fn oddities_of_deployed_texts_are_warned_of() {
    let twice =
        text("process: {matchPaths: [{path: /bin/a, path: /bin/b}]}\naction: Audit\naction: Block");
    let (policy, found) = read(&twice);
    assert_eq!(policy.spec.process[0].object, PathObject::Path("/bin/b".into()));
    assert_eq!(policy.spec.process[0].attributes.action, Action::Block);
    let fields: Vec<_> = found.iter().map(|found| (found.code, found.field.as_str())).collect();
    let path = "spec.process.matchPaths[0].path";
    assert_eq!(fields, [("duplicate-key", path), ("duplicate-key", "spec.action")]);
    assert_eq!(
        warnings(&text(&format!("severity:\n{RULE}"))),
        [("empty-value", "spec.severity".into())]
    );
    let misspelt = read(&text("process: {matchDirectories: [{dir: /a/, recurive: true}]}")).1;
    assert_eq!(misspelt[0].hint.as_deref(), Some("did you mean `recursive`?"));
    assert_eq!(warnings(&text(&format!("action:\tBlock\n{RULE}")))[0].0, "tab");
}

#[test]
fn texts_from_other_systems() {
    let plain = text(RULE);
    let expected = clean(&plain);
    assert_eq!(clean(&format!("\u{feff}{plain}")), expected);
    assert_eq!(clean(&plain.replace('\n', "\r\n")), expected);
    let tagged = text(&format!("message: !!str 5\n{RULE}"));
    assert_eq!(clean(&tagged).spec.attributes.message, "5");
}

#[test]
fn nothing_at_all_is_an_error() {
    for empty in ["", "\n", "# a comment\n", "---\n---\n", "null"] {
        assert_error(empty, "no-policy", "");
    }
    assert_error("just words", "wrong-type", "");
}
