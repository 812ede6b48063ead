//! The corpus of deployed policies: admission says of each what `karmor policy lint` says of its text, as far as API servers pass it on.

use std::fs;

use controller::admission::{Strictness, Verdict, answer};
use lint::{Level, Options, Source, lint};
use serde_json::{Value, json};

use crate::shared;

/// What shows only in a text: an API server asks about the object that came of it.
const OF_TEXTS: [&str; 2] = ["duplicate-key", "tab"];

fn documents(text: &str) -> Vec<Value> {
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
    };
    // The other reader takes no tabs; none stands in a value that counts here.
    serde_saphyr::from_multiple_with_options(&text.replace('\t', " "), options).unwrap()
}

fn review(object: &Value) -> Vec<u8> {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": {"group": "security.kubearmor.com", "version": "v1", "kind": object["kind"]},
            "operation": "CREATE",
            "object": object,
        },
    })
    .to_string()
    .into_bytes()
}

/// Codes of the errors that lint finds in a text.
fn errors(text: String) -> Vec<&'static str> {
    let source = Source { name: "file.yaml".to_owned(), text, named: true };
    let findings = lint(&[source], &Options::default()).findings;
    findings.iter().filter(|finding| finding.level == Level::Error).map(|f| f.code).collect()
}

#[test]
fn the_verdict_is_that_of_lint() {
    let Some(folder) = shared::folder("corpus") else { return };
    let (mut allowed, mut refused) = (0, 0);
    for file in shared::yaml_files(&folder) {
        let text = fs::read_to_string(&file).unwrap();
        let objects = documents(&text);
        let policies: Vec<&Value> = objects
            .iter()
            .filter(|object| {
                object["kind"]
                    .as_str()
                    .is_some_and(|kind| kind.starts_with("KubeArmor") && kind.ends_with("Policy"))
            })
            .collect();
        // Of several in one text lint says more: what they mean together.
        let [object] = policies.as_slice() else { continue };
        let expected: Vec<_> =
            errors(text).into_iter().filter(|code| !OF_TEXTS.contains(code)).collect();
        let answered = answer(&review(object), Strictness::Lint).unwrap();
        let said = &answered.message;
        let is_refused = answered.verdict == Verdict::Refused;
        assert_eq!(is_refused, !expected.is_empty(), "{}: {expected:?} {said}", file.display());
        // A refusal spells so many out.
        for code in expected.iter().filter(|_| expected.len() <= 10) {
            assert!(said.contains(&format!("[{code}]")), "{}: {code}: {said}", file.display());
        }
        *if is_refused { &mut refused } else { &mut allowed } += 1;
    }
    println!("{allowed} allowed, {refused} refused");
    assert!(allowed > 300 && refused > 30, "{allowed} allowed, {refused} refused");
}
