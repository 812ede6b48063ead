//! Events of clients outside Kubernetes.

use policy::{Kind, PolicyEvent, parse_event};

const OBJECT: &str = r#"{"metadata":{"name":"p","namespaceName":"ns"},
    "spec":{"selector":{"matchLabels":{"a":"b"}},"process":{"matchPaths":[{"path":"/bin/a"}]}}}"#;

fn event(kind: &str, object: &str) -> PolicyEvent {
    let bytes = format!("{{\"type\":\"{kind}\",\"object\":{object}}}");
    let mut parsed = parse_event(bytes.as_bytes(), Kind::Container);
    assert!(parsed.diagnostics.is_empty(), "{:#?}", parsed.diagnostics);
    assert_eq!(parsed.events.len(), 1);
    parsed.events.remove(0)
}

#[test]
fn the_three_types() {
    assert!(matches!(event("ADDED", OBJECT), PolicyEvent::Added(_)));
    assert!(matches!(event("MODIFIED", OBJECT), PolicyEvent::Modified(_)));
    let deleted = event("DELETED", OBJECT);
    assert!(matches!(deleted, PolicyEvent::Deleted(_)));
    assert_eq!(deleted.id(), event("ADDED", OBJECT).id());
    assert_eq!(deleted.id().kind, Kind::Container);
    assert_eq!(deleted.id().namespace.as_deref(), Some("ns"));
}

#[test]
fn a_deletion_needs_a_name_only() {
    let deleted = event("DELETED", r#"{"kind":"KubeArmorHostPolicy","metadata":{"name":"p"}}"#);
    assert_eq!(deleted.id().kind, Kind::Host);
}

#[test]
fn a_policy_text_counts_as_added() {
    let text = "kind: KubeArmorClusterPolicy\nmetadata: {name: a}\n\
                spec: {file: {matchPaths: [{path: /a}]}}\n";
    let parsed = parse_event(format!("{text}---\n{text}").as_bytes(), Kind::Container);
    assert_eq!(parsed.events.len(), 2);
    assert!(
        matches!(&parsed.events[0], PolicyEvent::Added(policy) if policy.id.kind == Kind::Cluster)
    );
}

#[test]
fn refused_events() {
    for (bytes, code) in [
        (&b"\xff\xfe"[..], "syntax"),
        (b"{", "syntax"),
        (b"", "no-policy"),
        (br#"{"object":{}}"#, "missing-field"),
        (br#"{"type":"PATCHED","object":{}}"#, "invalid-value"),
        (br#"{"type":"DELETED","object":{}}"#, "missing-name"),
        (br#"{"type":"ADDED","object":{"metadata":{"name":"p"}}}"#, "empty-spec"),
    ] {
        let parsed = parse_event(bytes, Kind::Container);
        assert!(parsed.events.is_empty());
        assert_eq!(parsed.diagnostics[0].code, code, "{:?}", parsed.diagnostics);
    }
}
