//! The rights of `deploy/manifests/controller-rbac.yaml`.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use crate::api::{Asked, Server};

fn documents() -> Vec<Value> {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/manifests/controller-rbac.yaml");
    serde_saphyr::from_multiple(&fs::read_to_string(file).unwrap()).unwrap()
}

fn has(list: &Value, text: &str) -> bool {
    list.as_array().unwrap().iter().any(|entry| entry == text)
}

fn permits(rule: &Value, asked: &Asked) -> bool {
    let named = match (rule["resourceNames"].is_array(), &asked.name) {
        (true, Some(name)) => has(&rule["resourceNames"], name),
        (true, None) => false,
        (false, _) => true,
    };
    named
        && has(&rule["apiGroups"], &asked.group)
        && has(&rule["resources"], &asked.resource)
        && has(&rule["verbs"], asked.verb)
}

/// All that was asked of the server is permitted.
pub(crate) fn assert_suffice(server: &Server) {
    let documents = documents();
    let asked: BTreeSet<Asked> = server.asked();
    for asked in &asked {
        let permitted = documents.iter().any(|document| {
            let here = match document["kind"].as_str().unwrap() {
                "ClusterRole" => true,
                "Role" => document["metadata"]["namespace"].as_str() == asked.namespace.as_deref(),
                _ => false,
            };
            here && document["rules"].as_array().unwrap().iter().any(|rule| permits(rule, asked))
        });
        assert!(permitted, "{asked:?}");
    }
}
