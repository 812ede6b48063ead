//! The definitions are such as API servers take, and take themselves what they must.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use jsonschema::{PatternOptions, Validator};
use policy::{Kind, parse};
use serde_json::{Value, json};

use super::crds;

/// Keywords of a structural schema that we use. Whatever is not listed, such as `$ref`, API servers refuse, or we
/// have no use for.
const KEYWORDS: [&str; 20] = [
    "additionalProperties",
    "anyOf",
    "description",
    "enum",
    "format",
    "items",
    "maxLength",
    "maximum",
    "minLength",
    "minimum",
    "nullable",
    "pattern",
    "properties",
    "required",
    "type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "maxItems",
    "minItems",
];

fn schema(kind: Kind) -> Value {
    let mut definition = crds::definition(kind);
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take()
}

fn assert_structural(schema: &Value, at: &str) {
    let Some(keywords) = schema.as_object() else { panic!("{at} is no schema") };
    for keyword in keywords.keys() {
        assert!(KEYWORDS.contains(&keyword.as_str()), "{at}: {keyword}");
    }
    if keywords.contains_key("x-kubernetes-int-or-string") {
        assert!(!keywords.contains_key("type"), "{at}");
        assert_eq!(schema["anyOf"], json!([{"type": "integer"}, {"type": "string"}]), "{at}");
        return;
    }
    assert!(!keywords.contains_key("anyOf"), "{at}: values under anyOf are for numbers or text");
    let holds = schema["type"].as_str().unwrap_or_else(|| panic!("{at} has no type"));
    assert_eq!(holds == "array", keywords.contains_key("items"), "{at}");
    let of_object = ["properties", "additionalProperties", "required"];
    assert!(
        holds == "object" || of_object.iter().all(|word| !keywords.contains_key(*word)),
        "{at}"
    );
    let both = keywords.contains_key("properties") && keywords.contains_key("additionalProperties");
    assert!(!both, "{at}: properties and additionalProperties exclude each other");
    if let Some(pattern) = schema["pattern"].as_str() {
        // The dialect of API servers has neither look-around nor back-references, and flags are not everywhere.
        assert!(!pattern.contains("(?") && !pattern.contains('\\'), "{at}: {pattern}");
    }
    assert_list_type(schema, at);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        assert_structural(property, &format!("{at}.{name}"));
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(schema["properties"].get(required.as_str().unwrap()).is_some(), "{at}: {required}");
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = keywords.get(inner) {
            assert_structural(inner, &format!("{at}[]"));
        }
    }
}

fn assert_list_type(schema: &Value, at: &str) {
    let keys = schema["x-kubernetes-list-map-keys"].as_array();
    match schema["x-kubernetes-list-type"].as_str() {
        None | Some("atomic") => assert!(keys.is_none(), "{at}"),
        Some("set") => {
            assert_eq!(schema["items"]["type"], "string", "{at}: only scalars are a set");
        }
        Some("map") => {
            let required = schema["items"]["required"].as_array().expect("keys are required");
            assert!(keys.expect("a map has keys").iter().all(|key| required.contains(key)), "{at}");
        }
        Some(other) => panic!("{at}: {other}"),
    }
}

#[test]
fn every_definition_is_structural_and_names_what_clients_look_for() {
    let singulars: BTreeSet<_> = Kind::ALL.map(crds::plural).into();
    assert_eq!(singulars.len(), 4);
    for kind in Kind::ALL {
        let definition = crds::definition(kind);
        let spec = &definition["spec"];
        let plural = spec["names"]["plural"].as_str().unwrap();
        assert_eq!(definition["metadata"]["name"], format!("{plural}.security.kubearmor.com"));
        assert!(plural.ends_with("policies"), "{plural}");
        let version = &spec["versions"][0];
        assert_eq!((&version["name"], &version["storage"]), (&json!("v1"), &json!(true)));
        assert_eq!(version["subresources"], json!({"status": {}}));
        let root = schema(kind);
        assert_eq!(root["properties"]["metadata"], json!({"type": "object"}));
        assert_structural(&root, kind.as_str());
        for column in version["additionalPrinterColumns"].as_array().unwrap() {
            let path = column["jsonPath"].as_str().unwrap();
            let mut at = &root;
            for part in path.trim_start_matches('.').split('.').take(3) {
                if part == "creationTimestamp" || part.contains('[') {
                    break;
                }
                at = &at["properties"][part];
                assert!(part == "metadata" || at.is_object(), "{path}: {part}");
            }
        }
    }
}

#[test]
fn the_columns_are_those_of_the_existing_definitions() {
    for (kind, selector) in [
        (Kind::Container, ".spec.selector.matchLabels"),
        (Kind::Cluster, ".spec.selector.matchExpressions"),
        (Kind::Host, ".spec.nodeSelector.matchLabels"),
        (Kind::Network, ".spec.nodeSelector.matchLabels"),
    ] {
        let version = &crds::definition(kind)["spec"]["versions"][0];
        let columns = json!([
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
            {"name": "Action", "type": "string", "jsonPath": ".spec.action", "priority": 10},
            {"name": "Selector", "type": "string", "jsonPath": selector, "priority": 10},
        ]);
        assert_eq!(version["additionalPrinterColumns"], columns, "{kind}");
    }
}

#[test]
fn definitions_fit_where_kubectl_notes_what_was_applied_last() {
    for kind in Kind::ALL {
        let size = crds::text(kind).unwrap().len();
        assert!(size < 200 << 10, "{kind}: {size} bytes");
    }
}

/// What an API server makes of a schema, in the words of JSON Schema.
fn plain(schema: &mut Value) {
    let Some(keywords) = schema.as_object_mut() else { return };
    if keywords.remove("nullable").is_some() {
        let holds = keywords["type"].clone();
        keywords.insert("type".to_owned(), json!([holds, "null"]));
    }
    for (_, property) in
        keywords.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten()
    {
        plain(property);
    }
    for inner in ["items", "additionalProperties"] {
        keywords.get_mut(inner).into_iter().for_each(plain);
    }
}

/// An API server's judgement of objects of one kind.
struct Server {
    schema: Value,
    validator: Validator,
}

impl Server {
    fn of(kind: Kind) -> Self {
        let schema = schema(kind);
        let mut plain_schema = schema.clone();
        plain(&mut plain_schema);
        let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
        Self { schema, validator: options.build(&plain_schema).expect("the schema is one") }
    }

    fn judge(&self, mut object: Value) -> Vec<String> {
        drop_nulls(&mut object, &self.schema);
        self.validator
            .iter_errors(&object)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }
}

/// An API server takes a null for no field, where the schema does not say that null is a value.
fn drop_nulls(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            let inner = |name: &String| match schema["properties"].get(name) {
                Some(property) => property.clone(),
                None => schema["additionalProperties"].clone(),
            };
            fields.retain(|name, value| !value.is_null() || inner(name)["nullable"] == true);
            for (name, value) in fields {
                drop_nulls(value, &inner(name));
            }
        }
        Value::Array(entries) => {
            for entry in entries {
                drop_nulls(entry, &schema["items"]);
            }
        }
        _ => {}
    }
}

/// The documents of a text as `kubectl` reads them: the last of equal keys counts, `yes` and `no` are truth values.
fn documents(text: &str) -> Result<Vec<Value>, String> {
    let mut options = serde_saphyr::options! {};
    options.duplicate_keys = serde_saphyr::options::DuplicateKeyPolicy::LastWins;
    let read = serde_saphyr::from_multiple_with_options::<Value>(text, options);
    read.map_err(|error| error.to_string())
}

fn kind_of(object: &Value) -> Option<Kind> {
    Kind::parse(object["kind"].as_str()?)
}

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("its entries can be read").path();
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn shared() -> Option<PathBuf> {
    let shared =
        env::var_os("KUBEARMOR_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    if !shared.is_dir() {
        println!("skipped: no ../shared");
        return None;
    }
    Some(shared)
}

/// Judges every policy of the files that the agent would take without an error; how many those are.
fn assert_taken(files: &[PathBuf]) -> usize {
    let servers = Kind::ALL.map(Server::of);
    let mut judged = 0;
    for file in files {
        let text = fs::read_to_string(file).expect("the file can be read");
        if parse(&text, "").has_errors() {
            continue;
        }
        let documents =
            documents(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for object in documents {
            let Some(kind) = kind_of(&object) else { continue };
            let server = &servers[Kind::ALL.iter().position(|other| *other == kind).unwrap()];
            let faults = server.judge(object);
            assert!(faults.is_empty(), "{}: {faults:#?}", file.display());
            judged += 1;
        }
    }
    judged
}

#[test]
fn what_the_agent_takes_api_servers_take() {
    let mut files = Vec::new();
    yaml_files(&root().join("policies/examples"), &mut files);
    assert!(assert_taken(&files) > 5);
    let Some(shared) = shared() else { return };
    let mut files = Vec::new();
    yaml_files(&shared.join("corpus"), &mut files);
    let judged = assert_taken(&files);
    println!("{judged} policies of the corpus");
    assert!(judged > 500, "{judged}");
}

fn object(kind: Kind, spec: &Value) -> Value {
    json!({
        "apiVersion": "security.kubearmor.com/v1",
        "kind": kind.as_str(),
        "metadata": {"name": "p"},
        "spec": spec,
    })
}

#[test]
fn every_example_of_the_reference_is_taken() {
    for kind in Kind::ALL {
        let server = Server::of(kind);
        for (_, field) in kind.fields() {
            let spec: Value = serde_saphyr::from_str(field.example).unwrap();
            let faults = server.judge(object(kind, &spec));
            // The example of a field may be one of another kind: nodes are not selected as pods are.
            assert!(faults.is_empty(), "{}: {faults:#?}", field.example);
        }
    }
}

#[test]
fn odd_spellings_that_the_agent_takes_are_taken() {
    for (kind, spec) in [
        (
            Kind::Container,
            json!({"action": "bLOCK", "process": {"matchPaths": [{"execname": "nmap"}]}}),
        ),
        (
            Kind::Container,
            json!({"action": "", "file": {"matchPaths": [{"path": "etc/a", "pts": null}]}}),
        ),
        (Kind::Container, json!({"network": {"matchProtocols": [{"protocol": "TCP, udp,"}]}})),
        (
            Kind::Cluster,
            json!({"capabilities": {"matchCapabilities": [{"capability": "CAP_Bpf,syslog"}]}}),
        ),
        (Kind::Container, json!({"syscalls": {"matchSyscalls": [{"syscall": ["OpenAt2"]}]}})),
        (
            Kind::Host,
            json!({"device": {"matchDevice": [{"class": 8}, {"class": "0x03"}, {"class": "hid"}]}}),
        ),
        (
            Kind::Network,
            json!({"level": "pod", "selector": {"matchLabels": {"a": "b"}},
            "ingress": [{"limit": 5, "duration": "1h"}, {"limit": "5MB", "duration": "20m"}]}),
        ),
        (
            Kind::Network,
            json!({"ingress": [{"ports": [{"port": 80, "endPort": 90, "protocol": "sctp"}]}]}),
        ),
    ] {
        let object = object(kind, &spec);
        let parsed = parse(&object.to_string(), "");
        assert!(!parsed.has_errors(), "{:#?}", parsed.diagnostics);
        let faults = Server::of(kind).judge(object);
        assert!(faults.is_empty(), "{spec}: {faults:#?}");
    }
}

/// Valid by the definitions of the existing implementation, though the agent refuses some: such objects may be
/// there already.
#[test]
fn what_the_existing_definitions_take_is_taken() {
    for (kind, spec) in [
        (Kind::Container, json!({})),
        (Kind::Container, json!({"process": {"matchPaths": [{"ownerOnly": true}]}})),
        (Kind::Container, json!({"process": {"matchPatterns": [{"pattern": ""}]}})),
        (Kind::Container, json!({"presets": [{"name": "unheard-of", "action": "Block"}, {}]})),
        (Kind::Container, json!({"selector": {"matchExpressions": [{"key": "label"}]}})),
        (
            Kind::Cluster,
            json!({"selector": {"matchExpressions": [{"key": "namespace", "operator": "In", "values": ["a"]}]}}),
        ),
        (Kind::Host, json!({"nodeSelector": {}, "syscalls": {"matchPaths": [{"path": "/etc/"}]}})),
        (
            Kind::Host,
            json!({"nodeSelector": {}, "device": {"matchDevice": [{"class": "9999", "subClass": 4096, "level": 900}]}}),
        ),
        (
            Kind::Network,
            json!({"nodeSelector": {}, "egress": [{"to": [{}], "ports": [{"port": ""}]}]}),
        ),
    ] {
        let faults = Server::of(kind).judge(object(kind, &spec));
        assert!(faults.is_empty(), "{spec}: {faults:#?}");
    }
}

#[test]
fn what_can_be_nothing_but_a_mistake_is_refused() {
    for (kind, spec, place) in [
        (Kind::Container, json!({"action": "Deny"}), "/spec/action"),
        (Kind::Container, json!({"severity": 11}), "/spec/severity"),
        (Kind::Container, json!({"severity": "5"}), "/spec/severity"),
        (
            Kind::Container,
            json!({"file": {"matchPaths": [{"readOnly": true}]}}),
            "/spec/file/matchPaths/0",
        ),
        (
            Kind::Container,
            json!({"file": {"matchPaths": [{"path": ""}]}}),
            "/spec/file/matchPaths/0/path",
        ),
        (
            Kind::Container,
            json!({"process": {"matchPaths": [{"execname": "a/b"}]}}),
            "/spec/process/matchPaths/0/execname",
        ),
        (
            Kind::Container,
            json!({"network": {"matchProtocols": [{"protocol": "tpc"}]}}),
            "/spec/network/matchProtocols/0/protocol",
        ),
        (
            Kind::Container,
            json!({"selector": {"matchExpressions": [{"key": "namespace"}]}}),
            "/spec/selector/matchExpressions/0/key",
        ),
        (
            Kind::Container,
            json!({"syscalls": {"matchSyscalls": [{"syscall": ["un link"]}]}}),
            "/spec/syscalls/matchSyscalls/0/syscall/0",
        ),
        (Kind::Network, json!({"ingress": [{"limit": "10TB"}]}), "/spec/ingress/0/limit"),
    ] {
        let faults = Server::of(kind).judge(object(kind, &spec));
        assert_eq!(faults.len(), 1, "{spec}: {faults:#?}");
        assert!(faults[0].starts_with(&format!("{place}:")), "{faults:#?}");
    }
}

#[test]
fn a_status_of_every_field_is_taken() {
    let mut written = object(Kind::Host, &json!({"nodeSelector": {}}));
    written["status"] = json!({
        "observedGeneration": 3,
        "status": "Partial",
        "conditions": [{
            "type": "Enforced", "status": "False", "reason": "NotExpressible",
            "message": "one rule is not in force on worker-1",
            "lastTransitionTime": "2026-01-02T03:04:05Z", "observedGeneration": 3,
        }],
        "nodes": [{"name": "worker-1", "state": "Partial", "message": "", "observedGeneration": 3}],
        "notExpressible": [{
            "rule": "spec.apparmor", "enforcer": "BPFLSM", "reason": "only AppArmor has its language",
            "nodes": ["worker-1"],
        }],
    });
    let faults = Server::of(Kind::Host).judge(written);
    assert!(faults.is_empty(), "{faults:#?}");
}
