//! Every policy of the behaviour cases is taken or refused as its case says.

mod shared;

use std::fs;

use policy::parse;
use regex::Regex;
use serde_json::Value;

/// Policies of a case are mappings, or text that counts byte for byte.
fn text_of(policy: &Value) -> String {
    policy.as_str().map_or_else(|| policy.to_string(), str::to_owned)
}

fn accept(policy: &Value, case: &str) {
    let parsed = parse(&text_of(policy), case);
    assert!(!parsed.has_errors(), "{case}: {:#?}", parsed.diagnostics);
    assert_eq!(parsed.policies.len(), 1, "{case}");
}

fn refuse(step: &Value, case: &str) {
    let parsed = parse(&text_of(&step["reject"]), case);
    assert!(parsed.has_errors(), "{case}: taken: {}", step["reject"]);
    assert!(parsed.policies.is_empty(), "{case}");
    let messages: Vec<_> = parsed.diagnostics.iter().map(ToString::to_string).collect();
    let messages = messages.join("\n");
    let expected = step.get("error").unwrap_or(&Value::Null);
    if let Some(part) = expected.get("contains").and_then(Value::as_str) {
        assert!(messages.contains(part), "{case}: no `{part}` in {messages}");
    }
    if let Some(pattern) = expected.get("regex").and_then(Value::as_str) {
        let found = Regex::new(pattern).is_ok_and(|regex| regex.is_match(&messages));
        assert!(found, "{case}: no {pattern} in {messages}");
    }
}

#[test]
fn policies_are_taken_or_refused_as_the_cases_say() {
    let Some(folder) = shared::folder("cases") else { return };
    let (mut accepted, mut refused) = (0, 0);
    for file in shared::yaml_files(&folder) {
        let name = file.display().to_string();
        let case: Value = serde_saphyr::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let none = Vec::new();
        let steps = case["steps"].as_array().unwrap_or(&none);
        let applied = steps.iter().filter_map(|step| step.get("apply"));
        for policy in case["policies"].as_array().unwrap_or(&none).iter().chain(applied) {
            accept(policy, &name);
            accepted += 1;
        }
        for step in steps.iter().filter(|step| step.get("reject").is_some()) {
            refuse(step, &name);
            refused += 1;
        }
    }
    println!("{accepted} taken, {refused} refused");
    assert!(accepted > 0 && refused > 0);
}
