//! Policy texts: one or many documents, lists of policies, the metadata that makes a policy unique.

use std::collections::BTreeMap;

use crate::{
    Diagnostic, Kind, Place, Policy, PolicyId, Position, Severity,
    reader::{Field, Fields, Report, warn_of_repeated_keys},
    spec,
    suggestion::{did_you_mean, nearest},
    yaml::{self, Document, Node, Value},
};

const API_VERSION: &str = "security.kubearmor.com/v1";
/// What programs that render templates replace.
const TEMPLATE: &str = "{{";
/// Kubernetes' limit for the name of an object.
const MAX_NAME: usize = 253;

/// What came out of a policy text.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// The policies of the documents without an error.
    pub policies: Vec<Policy>,
    /// Where each of the policies stands.
    pub located: Vec<Located>,
    /// Everything found, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The documents that [`parse_among_others`] passed over.
    pub skipped: Vec<Skipped>,
}

/// Where in its text a policy stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    pub at: Position,
    /// The first value of each rule.
    pub rules: BTreeMap<Place, Position>,
}

/// A document that is no policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub at: Position,
    pub reason: String,
}

impl Parsed {
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Reads YAML or JSON with any number of documents. `file` is what diagnostics call the text.
///
/// A document with an error gives no policy; the others are not touched by it.
pub fn parse(text: &str, file: &str) -> Parsed {
    let mut report = Report::new(file);
    let roots = read_documents(text, &mut report);
    read_policies(&roots, None, report)
}

/// As [`parse`], for a text that may hold other things than policies: they are told in [`Parsed::skipped`].
pub fn parse_among_others(text: &str, file: &str) -> Parsed {
    let mut report = Report::new(file);
    let stream = yaml::read(text);
    let mut skipped = Vec::new();
    let mut roots = Vec::new();
    let mut template = None;
    for document in stream.documents {
        match document {
            Ok(Document { root: None }) => {}
            Ok(Document { root: Some(root) }) => match foreign(&root) {
                Some(reason) => skipped.push(Skipped { at: root.at, reason }),
                None => roots.push(root),
            },
            // One template mostly has many faults.
            Err(fault) if text.contains(TEMPLATE) => template = template.or(Some(fault.at)),
            Err(fault) => report_fault(&fault, &mut report),
        }
    }
    if let Some(at) = template {
        let reason = "is a template; render it and check the outcome".to_owned();
        skipped.push(Skipped { at, reason });
    }
    if roots.is_empty() && report.errors() == 0 && skipped.is_empty() {
        skipped.push(Skipped { at: Position::START, reason: "is empty".to_owned() });
    }
    if let Some(at) = stream.tab.filter(|_| !roots.is_empty()) {
        warn_of_tab(at, &mut report);
    }
    warn_of_repetition(&roots, &mut report);
    read_policies(&roots, Some(skipped), report)
}

/// With a list of `skipped` documents, foreign items of lists are added to it; without, they are errors.
fn read_policies(roots: &[Node], skipped: Option<Vec<Skipped>>, mut report: Report<'_>) -> Parsed {
    let mut reading = Reading { policies: Vec::new(), skipped };
    let mut parsed = Parsed::default();
    for root in roots {
        let field = Field { node: root, path: String::new() };
        read_object(&field, &mut reading, &mut report);
        for (policy, at) in reading.policies.drain(..) {
            let rules = policy.places().into_iter();
            let rules = rules.filter_map(|place| Some((place.clone(), root.position(&place.0)?)));
            parsed.located.push(Located { at, rules: rules.collect() });
            parsed.policies.push(policy);
        }
    }
    parsed.skipped = reading.skipped.unwrap_or_default();
    parsed.diagnostics = report.finish();
    parsed
}

/// The objects found so far.
struct Reading {
    policies: Vec<(Policy, Position)>,
    /// `None` if everything has to be a policy.
    skipped: Option<Vec<Skipped>>,
}

/// Why a document is certainly not meant as a policy.
fn foreign(root: &Node) -> Option<String> {
    let Value::Map(map) = &root.value else { return Some("is no mapping".to_owned()) };
    let group = API_VERSION.split('/').next().unwrap_or(API_VERSION);
    if map.text("apiVersion").is_some_and(|version| version.starts_with(group)) {
        return None;
    }
    let Some(kind) = map.text("kind") else { return Some("has no `kind`".to_owned()) };
    if kind == "List" {
        return None;
    }
    let singular = kind.strip_suffix("List").unwrap_or(kind);
    let near = nearest(singular, &Kind::ALL.map(Kind::as_str)).is_some();
    (!near).then(|| format!("`{kind}` is no kind of policy"))
}

/// The trees of all documents that are YAML and not empty.
pub(crate) fn read_documents(text: &str, report: &mut Report<'_>) -> Vec<Node> {
    let stream = yaml::read(text);
    if let Some(at) = stream.tab {
        warn_of_tab(at, report);
    }
    let mut roots = Vec::new();
    let errors = report.errors();
    for document in stream.documents {
        match document {
            Ok(document) => roots.extend(document.root),
            Err(fault) => report_fault(&fault, report),
        }
    }
    if roots.is_empty() && report.errors() == errors {
        let message = "there is no policy in this text";
        let hint = Some(format!("begin with `apiVersion: {API_VERSION}` and `kind: ...`"));
        report.add(Severity::Error, "no-policy", (Position::START, ""), message, hint);
    }
    warn_of_repetition(&roots, report);
    roots
}

fn report_fault(fault: &yaml::Fault, report: &mut Report<'_>) {
    let message = format!("is neither YAML nor JSON: {}", fault.message);
    let hint = fault.message.contains("tab").then(|| "indent with spaces".to_owned());
    report.add(Severity::Error, "syntax", (fault.at, ""), message, hint);
}

fn warn_of_tab(at: Position, report: &mut Report<'_>) {
    let message = "a tab as white space: some decoders refuse it";
    report.add(Severity::Warning, "tab", (at, ""), message, Some("use spaces".to_owned()));
}

fn warn_of_repetition(roots: &[Node], report: &mut Report<'_>) {
    for root in roots {
        warn_of_repeated_keys(&Field { node: root, path: String::new() }, report);
    }
}

/// A policy, or a list of them as `kubectl get -o yaml` writes it.
fn read_object(field: &Field<'_>, reading: &mut Reading, report: &mut Report<'_>) {
    let Some(mut fields) = field.fields(report) else { return };
    let Some((kind_field, kind)) = fields.text("kind", report) else {
        if !fields.has("kind") {
            let message = "has no `kind`";
            let hint = format!("write one of {}", Kind::ALL.map(Kind::as_str).join(", "));
            fields.error("missing-kind", message, &hint, report);
        }
        return;
    };
    if kind == "List" || kind.strip_suffix("List").and_then(Kind::parse).is_some() {
        for item in fields.items("items", report) {
            match (&mut reading.skipped, foreign(item.node)) {
                (Some(skipped), Some(reason)) => {
                    skipped.push(Skipped { at: item.node.at, reason });
                }
                _ => read_object(&item, reading, report),
            }
        }
        return;
    }
    let Some(kind) = Kind::parse(kind) else {
        let message = format!("unknown kind `{kind}`");
        let hint = did_you_mean(kind, Kind::ALL.map(Kind::as_str));
        report.error("unknown-kind", &kind_field, message, hint);
        return;
    };
    if !fields.has("apiVersion") {
        let hint = format!("write `apiVersion: {API_VERSION}`; Kubernetes asks for it");
        fields.warning("missing-api-version", "has no `apiVersion`", &hint, report);
    }
    reading
        .policies
        .extend(read_policy(kind, fields, report).map(|policy| (policy, field.node.at)));
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Container, Self::Cluster, Self::Host, Self::Network];

    /// Reads the name written in the `kind` field.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether policies of this kind live in a namespace.
    pub fn is_namespaced(self) -> bool {
        self == Self::Container
    }
}

fn check_api_version(fields: &mut Fields<'_>, report: &mut Report<'_>) {
    if let Some((field, text)) = fields.text("apiVersion", report)
        && text != API_VERSION
    {
        let message = format!("unknown version `{text}`");
        let hint = Some(format!("write `{API_VERSION}`"));
        report.error("unknown-version", &field, message, hint);
    }
}

/// The object of an event, whose kind is known from where it came unless it says so itself.
pub(crate) fn read_event_object(
    default_kind: Kind,
    field: &Field<'_>,
    report: &mut Report<'_>,
) -> Option<Policy> {
    let mut fields = field.fields(report)?;
    let kind = read_event_kind(default_kind, &mut fields, report)?;
    read_policy(kind, fields, report)
}

/// What the object of a deletion names; its spec may be missing.
pub(crate) fn read_event_id(
    default_kind: Kind,
    field: &Field<'_>,
    report: &mut Report<'_>,
) -> Option<PolicyId> {
    let mut fields = field.fields(report)?;
    let kind = read_event_kind(default_kind, &mut fields, report)?;
    read_id(kind, &mut fields, report)
}

fn read_event_kind(
    default_kind: Kind,
    fields: &mut Fields<'_>,
    report: &mut Report<'_>,
) -> Option<Kind> {
    let Some((field, text)) = fields.text("kind", report) else { return Some(default_kind) };
    if text.is_empty() {
        return Some(default_kind);
    }
    let kind = Kind::parse(text);
    if kind.is_none() {
        field.unknown_name(text, "a kind", Kind::ALL.map(Kind::as_str), report);
    }
    kind
}

/// The policy, unless anything in it is an error.
fn read_policy(kind: Kind, mut fields: Fields<'_>, report: &mut Report<'_>) -> Option<Policy> {
    let before = report.errors();
    check_api_version(&mut fields, report);
    let id = read_id(kind, &mut fields, report);
    let spec_field = fields.get("spec", report);
    if spec_field.is_none() {
        fields.error("empty-spec", "has no `spec`", "write a `spec` with a rule", report);
    }
    let spec = spec_field.and_then(|field| spec::read(kind, &field, report));
    // Clients send it along; what it says is not the author's.
    let _ = fields.get("status", report);
    fields.finish(report);
    if report.errors() > before {
        return None;
    }
    Some(Policy { id: id?, spec: spec? })
}

fn read_id(kind: Kind, fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<PolicyId> {
    let hint = "write `metadata: {name: ...}`";
    let Some(metadata) = fields.get("metadata", report) else {
        fields.error("missing-name", "has no `metadata.name`", hint, report);
        return None;
    };
    // The other fields of the metadata are Kubernetes' business.
    let mut metadata = metadata.fields(report)?;
    let before = report.errors();
    // Stored events of other agents have the second spelling.
    let name = metadata
        .text("name", report)
        .or_else(|| metadata.text("policyName", report))
        .filter(|(_, name)| !name.is_empty());
    let namespace = metadata
        .text("namespace", report)
        .or_else(|| metadata.text("namespaceName", report))
        .filter(|(_, namespace)| !namespace.is_empty());
    let Some((name_field, name)) = name else {
        if report.errors() == before {
            metadata.error("missing-name", "has no `name`", hint, report);
        }
        return None;
    };
    check_name(&name_field, name, report)?;
    if let Some((field, _)) = namespace.as_ref().filter(|_| !kind.is_namespaced()) {
        let message = format!("a {kind} lives in no namespace");
        report.warning("ignored-field", field, message, "leave it out");
    }
    let namespace = namespace.filter(|_| kind.is_namespaced()).map(|(_, text)| text.to_owned());
    Some(PolicyId { kind, namespace, name: name.to_owned() })
}

fn check_name(field: &Field<'_>, name: &str, report: &mut Report<'_>) -> Option<()> {
    let hint = "use lower-case letters, digits, `-` and `.`";
    if name.len() > MAX_NAME || name.contains(|c: char| c == '/' || c.is_control()) {
        let message =
            format!("is no name: it has `/`, control characters or more than {MAX_NAME} bytes");
        report.error("invalid-value", field, message, Some(hint.to_owned()));
        return None;
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if !name.chars().all(plain) {
        let message = format!("Kubernetes does not take `{name}` for a name");
        report.warning("odd-name", field, message, hint);
    }
    Some(())
}
