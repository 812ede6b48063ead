//! Policies as objects of the API server, read as `lint` reads a file.

use kube::{
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
};
use policy::{Kind, Parsed, PolicyId};
use serde_json::{Value, json};

const GROUP: &str = "security.kubearmor.com";
const VERSION: &str = "v1";

/// A policy as the API server has it, its language not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyObject {
    pub id: PolicyId,
    /// Counts the changes of its spec.
    pub generation: i64,
    /// JSON, without what the server adds.
    pub text: String,
}

/// How the API server calls a kind.
pub(crate) fn resource(kind: Kind) -> ApiResource {
    let gvk = GroupVersionKind::gvk(GROUP, VERSION, kind.as_str());
    let plural = format!("{}ies", kind.as_str().to_lowercase().trim_end_matches('y'));
    ApiResource::from_gvk_with_plural(&gvk, &plural)
}

impl PolicyObject {
    /// `None` for an object that names nothing.
    pub(crate) fn new(kind: Kind, object: DynamicObject) -> Option<Self> {
        let DynamicObject { metadata, data, .. } = object;
        let name = metadata.name?;
        let namespace = metadata.namespace.filter(|_| kind.is_namespaced());
        let generation = metadata.generation.unwrap_or_default();
        let mut text = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": kind.as_str(),
            "metadata": {"name": name, "generation": generation},
        });
        if let Some(namespace) = &namespace {
            text["metadata"]["namespace"] = json!(namespace);
        }
        // All that the author wrote, so that what is wrong with it is told.
        if let Value::Object(fields) = data {
            for (key, value) in fields {
                if key != "status" {
                    text[key] = value;
                }
            }
        }
        let id = PolicyId { kind, namespace, name };
        Some(Self { id, generation, text: format!("{text:#}") })
    }

    /// What a text that was kept is about, for its generation. 0 if it says none.
    pub fn generation_of(text: &str) -> i64 {
        let object: Option<Value> = serde_json::from_str(text).ok();
        object.and_then(|object| object["metadata"]["generation"].as_i64()).unwrap_or_default()
    }

    /// The policy or what is wrong with it, in the words of `lint`.
    pub fn parse(&self) -> Parsed {
        let PolicyId { kind, namespace, name } = &self.id;
        let place = match namespace {
            Some(namespace) => format!("{kind} {namespace}/{name}"),
            None => format!("{kind} {name}"),
        };
        policy::parse(&self.text, &place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(spec: &Value) -> PolicyObject {
        let object = json!({
            "apiVersion": "security.kubearmor.com/v1",
            "kind": "KubeArmorPolicy",
            "metadata": {
                "name": "web", "namespace": "shop", "generation": 3, "uid": "u", "resourceVersion": "7",
                "managedFields": [{"manager": "kubectl", "operation": "Update"}],
            },
            "spec": spec,
            "status": {"status": "OK"},
        });
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        PolicyObject::new(Kind::Container, object).unwrap()
    }

    #[test]
    fn a_policy_is_what_a_file_of_the_same_text_would_be() {
        let spec = json!({
            "selector": {"matchLabels": {"app": "web"}},
            "process": {"matchPaths": [{"path": "/bin/sh"}]},
            "action": "Block",
        });
        let read = object(&spec);
        assert_eq!(read.generation, 3);
        assert_eq!(PolicyObject::generation_of(&read.text), 3);
        assert!(!read.text.contains("managedFields") && !read.text.contains("status"));
        let parsed = read.parse();
        assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
        assert_eq!(parsed.policies[0].id, read.id);
        let file = json!({
            "apiVersion": "security.kubearmor.com/v1", "kind": "KubeArmorPolicy",
            "metadata": {"name": "web", "namespace": "shop"}, "spec": spec,
        });
        assert_eq!(parsed.policies, policy::parse(&file.to_string(), "f").policies);
    }

    #[test]
    fn what_is_wrong_is_told_as_lint_tells_it() {
        let spec = json!({"selector": {}, "process": {"matchPaths": [{"path": ["/bin/sh"]}]}, "actoin": "Block"});
        let read = object(&spec);
        let of_object = read.parse().diagnostics;
        let of_file = policy::parse(&read.text, "KubeArmorPolicy shop/web").diagnostics;
        assert_eq!(of_object, of_file);
        assert!(of_object.iter().any(|found| found.is_error() && found.field.contains("path")));
        assert!(of_object.iter().any(|found| found.field.contains("actoin")));
    }

    #[test]
    fn kinds_are_called_as_their_definitions_call_them() {
        let plurals = Kind::ALL.map(|kind| resource(kind).plural);
        assert_eq!(
            plurals,
            [
                "kubearmorpolicies",
                "kubearmorclusterpolicies",
                "kubearmorhostpolicies",
                "kubearmornetworkpolicies"
            ]
        );
    }
}
