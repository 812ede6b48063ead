//! The `status` of a policy: what became of it, as `crates/controller` writes it.

use serde_json::{Map, Value, json};

/// The states of a policy on a node, as the agent tells them.
pub(super) const STATES: [&str; 4] = ["Enforced", "Partial", "NotEnforced", "NotEnabled"];

/// What one word says of all nodes together, beside the states.
pub(super) const WORDS: [&str; 5] =
    ["Rejected", "Pending", "NothingSelected", "AuditOnly", "Refused"];

/// Fields of `status`, for the reference: name and meaning.
pub(super) const FIELDS: [(&str, &str); 8] = [
    ("status", "one word for all of it"),
    ("observedGeneration", "the generation of the object that the rest of the status is about"),
    (
        "conditions[]",
        "`Accepted`: the language takes it, or the message says what to mend. `Enforced`: all of it holds on every node that it concerns",
    ),
    ("workloads", "how many workloads it selects, on all nodes"),
    (
        "nodeCounts",
        "how many nodes are `enforced`, `partial`, `auditOnly`, `notEnforced`, `notEnabled`, `refused`, `idle` (nothing of it is there), `pending` (have not told of this generation) and `untold` (know more policies than they can tell of)",
    ),
    (
        "nodes[]",
        "`name`, `state` and `message` of the first nodes where not all of it holds; `generationInForce` where an earlier generation holds instead",
    ),
    (
        "notExpressible[]",
        "`rule`, `enforcer`, `reason`, `nodes` and `nodeCount` of each rule that the enforcer of some node cannot hold",
    ),
    (
        "enforcedEverywhereAt",
        "when the last change of the policy had come into force on every node that it concerns",
    ),
];

/// Counts of nodes.
const COUNTS: [&str; 9] = [
    "enforced",
    "partial",
    "auditOnly",
    "notEnforced",
    "notEnabled",
    "refused",
    "idle",
    "pending",
    "untold",
];

pub(super) fn schema() -> Value {
    let states = format!("One of {}.", STATES.join(", "));
    let words = format!("One of {}, {}.", STATES.join(", "), WORDS.join(", "));
    let count = json!({"type": "integer", "format": "int64", "minimum": 0});
    let counts: Map<_, _> = COUNTS.iter().map(|name| ((*name).to_owned(), count.clone())).collect();
    json!({
        "type": "object",
        "description": "What became of the policy. The controller writes it.",
        "properties": {
            "observedGeneration": {
                "type": "integer",
                "format": "int64",
                "minimum": 0,
                "description": "The generation of the object that this status is about.",
            },
            "status": {"type": "string", "description": words},
            "workloads": {
                "type": "integer",
                "format": "int64",
                "minimum": 0,
                "description": "Workloads that it selects, on all nodes.",
            },
            "nodeCounts": {
                "type": "object",
                "description": "Nodes, each in one of these.",
                "properties": counts,
            },
            "enforcedEverywhereAt": {
                "type": "string",
                "format": "date-time",
                "description": "When the last change had come into force on every node that it concerns.",
            },
            "conditions": conditions(),
            "nodes": {
                "type": "array",
                "description": "The first nodes where not all of it holds.",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string"},
                        "state": {"type": "string", "description": states},
                        "message": {"type": "string", "description": "What is not in force, and why."},
                        "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
                        "generationInForce": {
                            "type": "integer",
                            "format": "int64",
                            "description": "What stays in force there while this generation is refused.",
                        },
                    },
                },
            },
            "notExpressible": {
                "type": "array",
                "description": "Rules that an enforcer cannot hold.",
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["rule", "reason"],
                    "properties": {
                        "rule": {
                            "type": "string",
                            "description": "The rule's place, such as spec.file.matchPaths[0].",
                        },
                        "enforcer": {"type": "string"},
                        "reason": {"type": "string"},
                        "nodes": {
                            "type": "array",
                            "description": "The first few.",
                            "x-kubernetes-list-type": "set",
                            "items": {"type": "string"},
                        },
                        "nodeCount": {"type": "integer", "format": "int64", "minimum": 0},
                    },
                },
            },
        },
    })
}

/// As all of Kubernetes writes them.
fn conditions() -> Value {
    json!({
        "type": "array",
        "description": "Accepted and Enforced.",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {"type": "string", "maxLength": 316},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
                "lastTransitionTime": {"type": "string", "format": "date-time"},
                "reason": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {"type": "string", "maxLength": 32768},
            },
        },
    })
}
