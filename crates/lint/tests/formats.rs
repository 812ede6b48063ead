//! The two forms for programs: their shape is a promise.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use lint::{CODES, Options, Report, Source, lint};
use serde_json::{Value, json};

fn report() -> Report {
    let text = "apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {name: p}\n\
        spec:\n  file:\n    matchPaths: [{path: /a, oops: 1}, {path: /a}]\n---\nkind: ConfigMap\n";
    let source = Source { name: "my policies/p.yaml".into(), text: text.into(), named: false };
    lint(&[source], &Options::default())
}

#[test]
fn json() {
    let json = report().to_json();
    assert_eq!(json["version"], 1);
    assert_eq!(
        json["summary"],
        json!({"files": 1, "policies": 1, "errors": 1, "warnings": 1, "notes": 0})
    );
    assert_eq!(
        json["skipped"],
        json!([{"file": "my policies/p.yaml", "line": 8, "reason": "`ConfigMap` is no kind of policy"}])
    );
    let first = &json["findings"][0];
    assert_eq!(first["code"], "unknown-field");
    assert_eq!(first["level"], "error");
    assert_eq!((&first["line"], &first["column"]), (&json!(6), &json!(29)));
    assert_eq!(first["field"], "spec.file.matchPaths[0].oops");
    assert!(first["message"].is_string() && first["hint"].is_string());
}

/// What the schema of SARIF 2.1.0 requires of the parts that are written.
fn check_result(result: &Value, rules: &[Value]) {
    assert!(!result["message"]["text"].as_str().unwrap().is_empty());
    assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(rules[index]["id"], result["ruleId"]);
    for location in result["locations"].as_array().unwrap() {
        check_location(location);
    }
}

fn check_location(location: &Value) {
    let physical = &location["physicalLocation"];
    let uri = physical["artifactLocation"]["uri"].as_str().unwrap();
    assert!(uri.bytes().all(|byte| byte.is_ascii_graphic()), "{uri}");
    let region = &physical["region"];
    assert!(region["startLine"].as_u64().unwrap() >= 1);
    assert!(region.get("startColumn").is_none_or(|column| column.as_u64().unwrap() >= 1));
}

#[test]
fn sarif() {
    let sarif = report().to_sarif("1.2.3");
    assert_eq!(sarif["version"], "2.1.0");
    assert!(sarif["$schema"].as_str().unwrap().contains("sarif-schema-2.1.0"));
    let [run] = sarif["runs"].as_array().unwrap().as_slice() else { panic!("one run") };
    let driver = &run["tool"]["driver"];
    assert!(driver["name"].is_string());
    assert_eq!(driver["version"], "1.2.3");
    let rules = driver["rules"].as_array().unwrap();
    assert!(rules.iter().all(|rule| rule["shortDescription"]["text"].is_string()));
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for result in results {
        check_result(result, rules);
    }
    let invocation = &run["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], true);
    let skipped = &invocation["toolExecutionNotifications"][0];
    assert!(skipped["message"]["text"].as_str().unwrap().contains("ConfigMap"));
    check_location(&skipped["locations"][0]);
}

#[test]
fn codes_are_sorted_and_unique() {
    assert!(CODES.is_sorted_by(|a, b| a.name < b.name));
}
