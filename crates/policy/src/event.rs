//! Changes of policies as clients outside Kubernetes send them:
//! `{"type": "ADDED|MODIFIED|DELETED", "object": {"metadata": ..., "spec": ...}}`.

use crate::{
    Diagnostic, Kind, Policy, PolicyId, Position, Severity,
    document::{parse, read_documents, read_event_id, read_event_object},
    reader::{Field, Report},
    yaml::{Node, Value},
};

/// What diagnostics call the text of an event.
const FILE: &str = "policy";

/// A change of one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyEvent {
    Added(Policy),
    Modified(Policy),
    Deleted(PolicyId),
}

impl PolicyEvent {
    pub fn id(&self) -> &PolicyId {
        match self {
            Self::Added(policy) | Self::Modified(policy) => &policy.id,
            Self::Deleted(id) => id,
        }
    }
}

/// What came out of the bytes of an event.
#[derive(Clone, Debug, Default)]
pub struct ParsedEvents {
    /// One per envelope or document without an error.
    pub events: Vec<PolicyEvent>,
    /// Everything found, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl ParsedEvents {
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Reads an event, or a policy text, of which each policy counts as added.
///
/// `default_kind` is the kind of an object that names none.
pub fn parse_event(bytes: &[u8], default_kind: Kind) -> ParsedEvents {
    let mut report = Report::new(FILE);
    let Ok(text) = std::str::from_utf8(bytes) else {
        let message = "is not UTF-8 text";
        report.add(Severity::Error, "syntax", (Position::START, ""), message, None);
        return ParsedEvents { events: Vec::new(), diagnostics: report.finish() };
    };
    let documents = read_documents(text, &mut report);
    if !documents.iter().any(is_envelope) {
        let parsed = parse(text, FILE);
        let events = parsed.policies.into_iter().map(PolicyEvent::Added).collect();
        return ParsedEvents { events, diagnostics: parsed.diagnostics };
    }
    let mut events = Vec::new();
    for root in &documents {
        let field = Field { node: root, path: String::new() };
        events.extend(read_envelope(default_kind, &field, &mut report));
    }
    ParsedEvents { events, diagnostics: report.finish() }
}

fn is_envelope(root: &Node) -> bool {
    matches!(&root.value, Value::Map(map) if map.get("object").is_some() && map.get("spec").is_none())
}

fn read_envelope(
    default_kind: Kind,
    field: &Field<'_>,
    report: &mut Report<'_>,
) -> Option<PolicyEvent> {
    const TYPES: [&str; 3] = ["ADDED", "MODIFIED", "DELETED"];
    let mut fields = field.fields(report)?;
    let Some(object) = fields.get("object", report) else {
        fields.error("missing-field", "has no `object`", "put the policy there", report);
        return None;
    };
    let Some((type_field, written)) = fields.text("type", report) else {
        fields.error("missing-field", "has no `type`", "write ADDED, MODIFIED or DELETED", report);
        return None;
    };
    match written.to_ascii_uppercase().as_str() {
        "ADDED" => read_event_object(default_kind, &object, report).map(PolicyEvent::Added),
        "MODIFIED" => read_event_object(default_kind, &object, report).map(PolicyEvent::Modified),
        "DELETED" => read_event_id(default_kind, &object, report).map(PolicyEvent::Deleted),
        _ => {
            type_field.unknown_name(written, "a type of event", TYPES, report);
            None
        }
    }
}
