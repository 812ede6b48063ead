//! Where policies and their rules stand, and what becomes of documents that are no policies.

use policy::{Place, Position, parse, parse_among_others};

const POLICY: &str = "apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {name: p}\n\
    spec:\n  process:\n    matchPaths:\n    - path: /a\n    - path: /b\n";

#[test]
fn rules_know_their_line() {
    let text = format!("# head\n---\n{POLICY}");
    let parsed = parse(&text, "p");
    let located = &parsed.located[0];
    assert_eq!(located.at, Position { line: 3, column: 1 });
    let place = Place("spec.process.matchPaths[1]".into());
    assert_eq!(located.rules[&place], Position { line: 10, column: 7 });
    assert_eq!(located.rules.len(), 2);
}

#[test]
fn items_of_lists_are_located_from_the_top() {
    let text = r#"{"kind": "List", "items": [{"apiVersion": "v1", "kind": "Pod"},
      {"apiVersion": "security.kubearmor.com/v1", "kind": "KubeArmorPolicy",
       "metadata": {"name": "a"}, "spec": {"file": {"matchPaths": [{"path": "/a"}]}}}]}"#;
    let parsed = parse_among_others(text, "p");
    assert_eq!(parsed.diagnostics, []);
    assert_eq!(parsed.skipped[0].reason, "`Pod` is no kind of policy");
    let (place, at) = parsed.located[0].rules.first_key_value().unwrap();
    assert_eq!((place.0.as_str(), at.line), ("items[1].spec.file.matchPaths[0]", 3));
    assert!(parse(text, "p").has_errors(), "a policy text holds nothing else");
}

#[test]
fn faults_of_other_documents_are_not_ours() {
    let text = format!("kind: ConfigMap\na: 1\na: 2\nb:\t3\n---\n{POLICY}");
    let parsed = parse_among_others(&text, "p");
    let codes: Vec<_> = parsed.diagnostics.iter().map(|found| found.code).collect();
    assert_eq!(codes, ["tab"], "a tab stops some decoders before they come to the policy");
    assert_eq!((parsed.policies.len(), parsed.skipped.len()), (1, 1));
}

#[test]
fn json_objects_one_after_the_other() {
    let object = r#"{"apiVersion": "security.kubearmor.com/v1", "kind": "KubeArmorPolicy", "metadata": {"name": "a"}, "spec": {"file": {"matchPaths": [{"path": "/a"}]}}}"#;
    let parsed = parse(&format!("{object}\n{object} {object}"), "p");
    assert_eq!(parsed.diagnostics, []);
    let lines: Vec<_> = parsed.located.iter().map(|located| located.at.line).collect();
    assert_eq!(lines, [1, 2, 2]);
}

#[test]
fn truth_as_older_decoders_spell_it() {
    for (written, means) in [("y", true), ("Yes", true), ("on", true), ("n", false), ("off", false)]
    {
        let text = format!("{POLICY}      ownerOnly: {written}\n");
        let parsed = parse(&text, "p");
        assert_eq!(parsed.policies[0].spec.process[1].owner_only, means, "{written}");
    }
}
