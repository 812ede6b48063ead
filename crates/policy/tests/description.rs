//! The description and the reader of the language know the same.

mod shared;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use policy::{
    Kind, Parsed,
    description::{Described, Object, Spelling, Value as Content, every_field},
    parse,
};
use serde_json::{Map, Value, json};

/// No field anywhere is called so, nor nearly so.
const STRANGER: &str = "qqqqqqqqqqqq";

fn text_of(kind: Kind, spec: &Value) -> String {
    let (api, kind) = ("security.kubearmor.com/v1", kind.as_str());
    json!({"apiVersion": api, "kind": kind, "metadata": {"name": "p"}, "spec": spec}).to_string()
}

/// A value that the field takes.
fn sample(content: &Content) -> Value {
    match content {
        Content::Text => json!("10.0.0.0"),
        Content::Path => json!("/srv/a"),
        Content::Of(_) => json!("mount"),
        Content::Name(names, _) => json!(names()[0]),
        Content::NumberOrText(_) | Content::Number { .. } => json!(5),
        Content::Truth | Content::NullableTruth => json!(false),
        Content::Labels => json!({"app": "web"}),
        Content::List(entry) => json!([sample(entry)]),
        Content::Object(object) => full(object),
    }
}

/// An object with every field that it is said to have, and one more.
fn full(object: &Object) -> Value {
    let fields = object.fields.iter().map(|field| (field.name.to_owned(), sample(&field.value)));
    fields.chain([(STRANGER.to_owned(), json!(1))]).collect::<Map<_, _>>().into()
}

/// The objects of a kind's spec by their places.
fn objects(kind: Kind) -> Vec<(String, &'static Object)> {
    let inner = kind.fields().into_iter().filter_map(|(place, field)| {
        let entry = if field.value.is_list() { "[0]" } else { "" };
        Some((format!("{}{entry}", place.replace("[]", "[0]")), field.object()?))
    });
    [("spec".to_owned(), kind.spec())].into_iter().chain(inner).collect()
}

/// The names that the reader knows in the place of a stranger, out of the hint that lists them.
fn known(parsed: &Parsed, place: &str) -> BTreeSet<String> {
    let field = format!("{place}.{STRANGER}");
    let found = parsed.diagnostics.iter().find(|found| found.field == field);
    let found = found.unwrap_or_else(|| panic!("{field} is no stranger there"));
    assert_eq!(found.code, "unknown-field");
    let hint = found.hint.as_deref().unwrap_or_default();
    match hint.strip_prefix("the only known name is ") {
        Some(only) => BTreeSet::from([only.trim_matches('`').to_owned()]),
        None => hint.trim_start_matches("known are ").split(", ").map(str::to_owned).collect(),
    }
}

#[test]
fn the_reader_knows_exactly_the_fields_that_are_described() {
    for kind in Kind::ALL {
        let parsed = parse(&text_of(kind, &full(kind.spec())), "");
        for (place, object) in objects(kind) {
            let described = object.fields.iter().map(|field| field.name.to_owned()).collect();
            assert_eq!(known(&parsed, &place), described, "{kind}, {place}");
        }
    }
}

fn read_yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Whether something stands in a place such as `spec.file.matchPaths[].path`.
fn has(value: &Value, place: &str) -> bool {
    let Some((first, rest)) = place.split_once('.') else {
        return value.get(place.trim_end_matches("[]")).is_some();
    };
    let entries = value.get(first.trim_end_matches("[]"));
    match entries {
        Some(Value::Array(entries)) => entries.iter().any(|entry| has(entry, rest)),
        Some(entry) => has(entry, rest),
        None => false,
    }
}

#[test]
fn every_example_is_read_without_a_finding_and_uses_its_field() {
    for described in every_field() {
        let kind = described.kind();
        let Described { field, places } = described;
        let spec = read_yaml(field.example);
        let parsed = parse(&text_of(kind, &spec), field.name);
        assert!(parsed.diagnostics.is_empty(), "{}: {:#?}", field.example, parsed.diagnostics);
        let policy = json!({ "spec": spec });
        let used = places.iter().any(|(at, place)| *at == kind && has(&policy, place));
        assert!(used, "{} in {}", places[0].1, field.example);
        let indented = format!("spec:\n{}", field.example).replace('\n', "\n  ");
        let written = format!(
            "apiVersion: security.kubearmor.com/v1\nkind: {kind}\nmetadata: {{name: p}}\n{indented}\n"
        );
        assert!(parse(&written, "").diagnostics.is_empty(), "{written}");
    }
}

#[test]
fn every_allowed_name_is_read() {
    for described in every_field() {
        let kind = described.kind();
        let Described { field, places } = described;
        let Content::Name(names, spelling) = field.value else { continue };
        for name in names() {
            let spellings = match spelling {
                Spelling::Exact | Spelling::Unchecked | Spelling::UncheckedOrNumber => vec![name],
                _ => vec![name.to_uppercase(), name.to_lowercase(), name],
            };
            for name in spellings {
                let mut spec = read_yaml(field.example);
                let place = places[0].1.strip_prefix("spec.").unwrap();
                set(&mut spec, place, &json!(name));
                let parsed = parse(&text_of(kind, &spec), "");
                assert!(!parsed.has_errors(), "{place}: {:#?}", parsed.diagnostics);
            }
        }
    }
}

/// Writes a value into the first entries of a place.
fn set(value: &mut Value, place: &str, to: &Value) {
    let Some((first, rest)) = place.split_once('.') else {
        value[place] = to.clone();
        return;
    };
    match &mut value[first.trim_end_matches("[]")] {
        Value::Array(entries) => entries.iter_mut().for_each(|entry| set(entry, rest, to)),
        entry => set(entry, rest, to),
    }
}

/// The policies that a case applies.
fn policies_of(case: &Value) -> Vec<Value> {
    let steps = case["steps"].as_array().into_iter().flatten();
    let written = steps.map(|step| &step["apply"]);
    let first = case["policies"].as_array().into_iter().flatten();
    first
        .chain(written)
        .filter_map(|policy| match policy {
            Value::String(text) => serde_saphyr::from_str(text).ok(),
            Value::Object(_) => Some(policy.clone()),
            _ => None,
        })
        .collect()
}

/// The policies of all behaviour cases; `None` where those outside the repository are missing.
fn all_policies() -> Option<Vec<Value>> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/cases/own");
    let mut policies = Vec::new();
    for folder in [own, shared::folder("cases/functional")?] {
        let entries = fs::read_dir(&folder).map(Iterator::collect::<Result<Vec<_>, _>>);
        let Ok(Ok(entries)) = entries else { panic!("{} cannot be read", folder.display()) };
        for path in entries.iter().map(fs::DirEntry::path) {
            let text = fs::read_to_string(&path);
            let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            policies.extend(policies_of(&read_yaml(&text)));
        }
    }
    Some(policies)
}

#[test]
fn every_field_of_every_list_is_shown_by_a_case() {
    let Some(policies) = all_policies() else { return };
    let mut places: BTreeMap<String, Vec<Kind>> = BTreeMap::new();
    for kind in Kind::ALL {
        for (place, _) in kind.fields() {
            places.entry(place).or_default().push(kind);
        }
    }
    let shown = |place: &str, kinds: &[Kind]| {
        policies.iter().any(|policy| {
            kinds.iter().any(|kind| policy["kind"] == kind.as_str()) && has(policy, place)
        })
    };
    let missing: Vec<&String> = places
        .iter()
        .filter(|(place, kinds)| !shown(place, kinds))
        .map(|(place, _)| place)
        .collect();
    assert!(missing.is_empty(), "no case shows {missing:#?}");
}

/// Labels that are none: the language gives them a meaning of their own.
#[test]
fn every_label_with_a_meaning_is_shown_by_a_case() {
    let Some(policies) = all_policies() else { return };
    for (selector, key) in [
        ("selector", "kubearmor.io/container.name"),
        ("nodeSelector", "kubearmor.io/hostname"),
        ("nodeSelector", "kubernetes.io/hostname"),
        ("nodeSelector", "kubearmor.io/hostnamereg"),
        ("nodeSelector", "kubernetes.io/hostnamereg"),
    ] {
        let shown =
            policies.iter().any(|policy| !policy["spec"][selector]["matchLabels"][key].is_null());
        assert!(shown, "no case has {selector} with {key}");
    }
}

#[test]
fn every_named_case_is_there_and_uses_its_field() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/cases/own");
    let functional = shared::folder("cases/functional");
    for Described { field, places } in every_field() {
        let file = format!("{}.yaml", field.case);
        let in_own = own.join(&file);
        let path = match &functional {
            _ if in_own.is_file() => in_own,
            Some(functional) => functional.join(&file),
            None => continue,
        };
        let text = fs::read_to_string(&path);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let case: Value = serde_saphyr::from_str(&text).unwrap();
        let used = policies_of(&case).iter().any(|policy| {
            let of = |kind: Kind| policy["kind"] == kind.as_str();
            places.iter().any(|(kind, place)| of(*kind) && has(policy, place))
        });
        assert!(used, "no policy of {} has {}", field.case, places[0].1);
    }
}
