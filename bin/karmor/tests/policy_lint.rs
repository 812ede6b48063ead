//! `karmor policy lint` as people and pipelines run it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

const GOOD: &str = "\
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: good}
spec: {file: {matchPaths: [{path: /srv/x}]}, action: Block}
";

fn lint(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_karmor"))
        .args(["policy", "lint"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn write(directory: &Path, name: &str, text: &str) {
    let file = directory.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

#[test]
fn nothing_found_is_a_line_and_status_0() {
    let output = lint(&["-"], GOOD);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), "1 policy in 1 file: 0 errors, 0 warnings, 0 notes\n");
}

#[test]
fn a_finding_shows_its_line_and_a_hint() {
    let output = lint(&["-"], &GOOD.replace("path: /srv/x", "paht: /srv/x, path: /srv/x"));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stdout),
        "error[unknown-field]: spec.file.matchPaths[0].paht: is no field of this place and is passed over\n \
         --> stdin:4:29\n  |\n\
         4 | spec: {file: {matchPaths: [{paht: /srv/x, path: /srv/x}]}, action: Block}\n  |                             ^\n  \
         = hint: did you mean `path`?\n\n\
         1 policy in 1 file: 1 error, 0 warnings, 0 notes\n"
    );
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_directory_is_read_whole_and_the_rest_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(root, "a/one.yml", GOOD);
    write(root, "b.JSON", r#"{"name": "not a policy"}"#);
    write(root, "notes.txt", "nothing");
    write(root, ".git/x.yaml", "a: [");
    write(root, "chart.yaml", "{{ if .Values.x }}\na: b\n{{ end }}\n");
    let output = lint(&[root.to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let shown = text(&output.stdout);
    assert!(shown.contains("b.JSON:1: has no `kind`"), "{shown}");
    assert!(shown.contains("chart.yaml:1: is a template"), "{shown}");
    assert!(
        shown
            .ends_with("1 policy in 3 files: 0 errors, 0 warnings, 0 notes; 2 documents skipped\n")
    );
}

#[test]
fn warnings_fail_where_they_are_denied() {
    let twice = GOOD.replace("{path: /srv/x}", "{path: /srv/x}, {path: /srv/x}");
    assert_eq!(lint(&["-"], &twice).status.code(), Some(0));
    assert_eq!(lint(&["--deny", "warnings", "-"], &twice).status.code(), Some(1));
    let allow = GOOD.replace("Block", "Allow");
    assert_eq!(lint(&["--deny", "warnings", "-"], &allow).status.code(), Some(0));
    assert_eq!(lint(&["--deny", "notes", "-"], &allow).status.code(), Some(1));
    let shown = lint(&["--level", "error", "-"], &allow);
    assert_eq!(text(&shown.stdout), "1 policy in 1 file: 0 errors, 0 warnings, 1 note\n");
}

#[test]
fn forms_for_programs() {
    let bad = GOOD.replace("path: /srv/x", "path: srv");
    let json: serde_json::Value =
        serde_json::from_slice(&lint(&["--json", "-"], &bad).stdout).unwrap();
    assert_eq!(json["findings"][0]["code"], "never-matches");
    assert_eq!(json["summary"]["errors"], 1);
    let sarif = lint(&["--sarif", "-"], &bad);
    assert_eq!(sarif.status.code(), Some(1));
    let sarif: serde_json::Value = serde_json::from_slice(&sarif.stdout).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "never-matches");
}

#[test]
fn wrong_usage_is_status_2() {
    assert_eq!(lint(&[], "").status.code(), Some(2));
    assert_eq!(lint(&["--json", "--sarif", "-"], GOOD).status.code(), Some(2));
    let missing = lint(&["/nowhere/at/all.yaml"], "");
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).starts_with("error: cannot read /nowhere/at/all.yaml"));
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(lint(&[empty.path().to_str().unwrap()], "").status.code(), Some(2));
}

#[test]
fn texts_do_not_direct_the_terminal() {
    let bad =
        GOOD.replace("path: /srv/x", "path: \"\\e[31m\\x07\"").replace("good", "good, \u{9b}x: 1");
    let output = lint(&["-"], &bad);
    let directs = |c: char| c.is_control() && c != '\n';
    assert!(!text(&output.stdout).contains(directs), "{}", text(&output.stdout));
}

#[test]
fn each_example_is_clean() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/examples");
    for example in fs::read_dir(examples).unwrap() {
        let file = example.unwrap().path();
        let output = lint(&["--deny", "warnings", file.to_str().unwrap()], "");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    }
}
