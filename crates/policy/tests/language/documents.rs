//! Kinds, names and what else stands around a spec.

use policy::parse;

use crate::{RULE, assert_error, clean, error, read, text, warnings};

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
