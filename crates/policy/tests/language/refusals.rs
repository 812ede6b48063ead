//! What is refused, and how that is told.

use policy::parse;

use crate::{RULE, assert_error, error, text};

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
