//! Custom resource definitions: structural schemas as API servers want them.
//!
//! They check what they can without refusing anything that the agent takes, or that the definitions of the existing
//! implementation let in: objects that lie in a cluster already must stay valid. What they cannot check the agent
//! refuses, and says so in the object's status.

use anyhow::{Context, Result};
use policy::{
    Kind,
    description::{Field, Object, Presence, Spelling, Value as Content},
};
use serde_json::{Map, Value, json};

use super::status;

pub(super) const GROUP: &str = "security.kubearmor.com";
const HEADER: &str = "# Written by `cargo xtask codegen` from crates/policy/src/description.\n";

/// The definition of a kind as YAML.
pub(super) fn text(kind: Kind) -> Result<String> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let yaml = serde_saphyr::to_string_with_options(&definition(kind), options)
        .with_context(|| format!("writing the definition of {kind}"))?;
    Ok(format!("{HEADER}{yaml}"))
}

pub(super) fn plural(kind: Kind) -> String {
    let singular = kind.as_str().to_lowercase();
    format!("{}ies", singular.trim_end_matches('y'))
}

pub(super) fn short_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Container => "ksp",
        Kind::Cluster => "csp",
        Kind::Host => "hsp",
        Kind::Network => "nsp",
    }
}

pub(super) fn scope(kind: Kind) -> &'static str {
    if kind.is_namespaced() { "Namespaced" } else { "Cluster" }
}

/// The definition of a kind.
pub(super) fn definition(kind: Kind) -> Value {
    let plural = plural(kind);
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{GROUP}")},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.as_str(),
                "listKind": format!("{kind}List"),
                "plural": plural,
                "shortNames": [short_name(kind)],
                "singular": kind.as_str().to_lowercase(),
            },
            "scope": scope(kind),
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": printer_columns(kind),
                "schema": {"openAPIV3Schema": root(kind)},
            }],
        },
    })
}

/// Those of the existing definitions: scripts count the columns of `kubectl get`.
fn printer_columns(kind: Kind) -> Value {
    let selector = match kind {
        Kind::Container => ".spec.selector.matchLabels",
        Kind::Cluster => ".spec.selector.matchExpressions",
        Kind::Host | Kind::Network => ".spec.nodeSelector.matchLabels",
    };
    json!([
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Action", "type": "string", "jsonPath": ".spec.action", "priority": 10},
        {"name": "Selector", "type": "string", "jsonPath": selector, "priority": 10},
    ])
}

fn root(kind: Kind) -> Value {
    let about = match kind {
        Kind::Container => "What the containers of a namespace may do.",
        Kind::Cluster => "What the containers of many namespaces may do. Its Block is final.",
        Kind::Host => "What the programs of a node may do outside of containers.",
        Kind::Network => "Which traffic a node lets through, and how much of it pods may have.",
    };
    json!({
        "type": "object",
        "description": about,
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": object(kind.spec()),
            "status": status::schema(),
        },
    })
}

fn object(described: &Object) -> Value {
    let properties: Map<_, _> =
        described.fields.iter().map(|field| (field.name.to_owned(), property(field))).collect();
    let demanded = described.fields.iter().filter(|field| field.presence == Presence::Demanded);
    let demanded: Vec<&str> = demanded.map(|field| field.name).collect();
    let mut schema = json!({"type": "object", "properties": properties});
    if !demanded.is_empty() {
        schema["required"] = json!(demanded);
    }
    schema
}

fn property(field: &Field) -> Value {
    let mut schema = content(&field.value);
    // `kubectl explain` wants plain text.
    schema["description"] = json!(field.meaning.replace('`', "'"));
    schema
}

fn content(content: &Content) -> Value {
    match content {
        Content::Text => json!({"type": "string"}),
        Content::Path => json!({"type": "string", "minLength": 1}),
        Content::Of(set) => json!({"type": "string", "pattern": format!("^[{set}]+$")}),
        Content::Name(names, spelling) => name(&names(), *spelling),
        Content::NumberOrText("") => number_or_text(),
        Content::NumberOrText(pattern) => {
            let mut schema = number_or_text();
            schema["pattern"] = json!(pattern);
            schema
        }
        Content::Number { least, most } => {
            let mut schema = json!({"type": "integer", "format": "int32"});
            if let Some(least) = least {
                schema["minimum"] = json!(least);
            }
            if let Some(most) = most {
                schema["maximum"] = json!(most);
            }
            schema
        }
        Content::Truth => json!({"type": "boolean"}),
        Content::NullableTruth => json!({"type": "boolean", "nullable": true}),
        Content::Labels => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Content::List(entry) => json!({"type": "array", "items": self::content(entry)}),
        Content::Object(described) => object(described),
    }
}

fn number_or_text() -> Value {
    json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]})
}

fn name(names: &[String], spelling: Spelling) -> Value {
    let any_case: Vec<String> = names.iter().map(|name| in_any_case(name)).collect();
    let any_case = any_case.join("|");
    match spelling {
        Spelling::Exact => json!({"type": "string", "enum": names}),
        Spelling::AnyCase => json!({"type": "string", "pattern": format!("^({any_case})$")}),
        Spelling::AnyCaseOrEmpty => {
            json!({"type": "string", "pattern": format!("^({any_case})?$")})
        }
        // The existing definitions look at the end of the list alone.
        Spelling::CommaList => json!({"type": "string", "pattern": format!("({any_case})[, ]*$")}),
        Spelling::Unchecked => json!({"type": "string"}),
        Spelling::UncheckedOrNumber => number_or_text(),
    }
}

/// A regular expression without flags, which not every dialect has.
fn in_any_case(name: &str) -> String {
    name.chars()
        .map(|c| match (c.to_ascii_uppercase(), c.to_ascii_lowercase()) {
            (upper, lower) if upper == lower => c.to_string(),
            (upper, lower) => format!("[{upper}{lower}]"),
        })
        .collect()
}
