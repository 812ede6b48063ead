//! What is accepted with a warning because it does nothing, or not what it seems.

use policy::{Action, PathObject};

use crate::{RULE, read, text, warnings};

#[test]
fn rules_that_can_never_match_are_taken_with_a_warning() {
    for rule in [
        "process: {matchPaths: [{path: bin/sh}]}",
        "process: {matchPaths: [{path: /usr//bin/sh}]}",
        "process: {matchPaths: [{path: /usr/../bin/sh}]}",
        "process: {matchPaths: [{path: /usr/bin/}]}",
        "process: {matchPaths: [{path: /usr/bin/apt install}]}",
        "process: {matchPaths: [{path: /bin/a, fromSource: [{path: sh}]}]}",
        "file: {matchPaths: [{path: /a, fromSource: [{path: /usr/bin/python3 app.py}]}]}",
        "syscalls: {matchSyscalls: [{syscall: [open], fromSource: [{path: /bin/sh -c}]}]}",
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
fn a_pattern_for_a_name_is_taken_literally_and_told() {
    let name = |name: &str| text(&format!("process: {{matchPaths: [{{execname: '{name}'}}]}}"));
    let field = "spec.process.matchPaths[0].execname";
    for glob in ["python*", "python3.?", "{vi,vim}", "[ab]sh"] {
        assert_eq!(warnings(&name(glob)), [("literal-glob", field.to_owned())], "{glob}");
    }
    let hint = read(&name("python*")).1[0].hint.clone().unwrap();
    assert!(hint.contains("/**/python*"), "{hint}");
    for plain in ["python3", "[", "a-b.c"] {
        assert_eq!(warnings(&name(plain)), [], "{plain}");
    }
}

#[test]
fn recursive_does_nothing_without_a_directory() {
    let calls = |rule: &str| warnings(&text(&format!("syscalls: {{{rule}}}")));
    let idle = |field: &str| [("ignored-field", format!("spec.syscalls.{field}.recursive"))];
    assert_eq!(
        calls("matchSyscalls: [{syscall: [open], fromSource: [{path: /bin/a, recursive: true}]}]"),
        idle("matchSyscalls[0].fromSource[0]")
    );
    assert_eq!(
        calls("matchPaths: [{syscall: [open], path: /home/user, recursive: true}]"),
        idle("matchPaths[0]")
    );
    for meant in [
        "matchSyscalls: [{syscall: [open], fromSource: [{path: /bin/a, recursive: false}]}]",
        "matchSyscalls: [{syscall: [open], fromSource: [{dir: /bin/, recursive: true}]}]",
        "matchPaths: [{syscall: [open], path: /home/, recursive: true}]",
    ] {
        assert_eq!(calls(meant), [], "{meant}");
    }
}
