//! What rules of each section say.

use policy::{Action, Attributes, Capability, PathObject, Preset, Protocol, SyscallSource};

use crate::{RULE, assert_error, clean, read, text, warnings};

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
    let (policy, found) = read(&text(
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
    let found: Vec<_> = found.iter().map(|found| (found.code, found.field.as_str())).collect();
    assert_eq!(found, [("ignored-value", "spec.presets[0]")], "the inherited `Allow` is told");
    assert_eq!(policy.not_enforced_yet(), []);

    let own = "presets: [{name: exec, action: allow}, {name: protectEnv}]";
    assert_eq!(warnings(&text(own)), [("ignored-value", "spec.presets[0].action".to_owned())]);
    let empty = "action: Allow\npresets: [{name: exec, action: ''}]";
    assert_eq!(warnings(&text(empty)), [("ignored-value", "spec.presets[0]".to_owned())]);
}
