//! The `status` of a policy: what became of it. The definitions have its fields; nothing writes them yet.

use serde_json::{Value, json};

/// The states of a policy on a node, as the agent tells them.
pub(super) const STATES: [&str; 4] = ["Enforced", "Partial", "NotEnforced", "NotEnabled"];

/// Fields of `status`, for the reference: name and meaning.
pub(super) const FIELDS: [(&str, &str); 5] = [
    ("observedGeneration", "the generation of the object that the rest of the status is about"),
    (
        "conditions[]",
        "`Accepted`: the language takes it, or the message says what to mend. `Enforced`: all of it holds on every node that it concerns",
    ),
    ("nodes[]", "`name`, `state` and `message` of each node that it concerns"),
    (
        "notExpressible[]",
        "`rule`, `enforcer`, `reason` and `nodes` of each rule that the enforcer of some node cannot hold",
    ),
    ("status", "one word for all of it, one of the states"),
];

pub(super) fn schema() -> Value {
    let states = format!("One of {}.", STATES.join(", "));
    json!({
        "type": "object",
        "description": "What became of the policy. Nothing writes it yet.",
        "properties": {
            "observedGeneration": {
                "type": "integer",
                "format": "int64",
                "minimum": 0,
                "description": "The generation of the object that this status is about.",
            },
            "status": {"type": "string", "description": states},
            "conditions": conditions(),
            "nodes": {
                "type": "array",
                "description": "The nodes that the policy concerns, and its state on each.",
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
                            "x-kubernetes-list-type": "set",
                            "items": {"type": "string"},
                        },
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
