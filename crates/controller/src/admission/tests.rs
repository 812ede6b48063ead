//! Verdicts, word for word where users read them.

use serde_json::{Value, json};

use super::*;

fn review(operation: &str, object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5",
            "kind": {"group": "security.kubearmor.com", "version": "v1", "kind": "KubeArmorPolicy"},
            "operation": operation,
            "object": object,
            "dryRun": false,
        },
    })
}

fn policy(spec: &Value) -> Value {
    json!({
        "apiVersion": "security.kubearmor.com/v1",
        "kind": "KubeArmorPolicy",
        "metadata": {"name": "web", "namespace": "shop", "uid": "1", "managedFields": [{}]},
        "spec": spec,
        "status": {"status": "Enforced"},
    })
}

fn block(path: &str) -> Value {
    policy(&json!({
        "selector": {"matchLabels": {"app": "web"}},
        "file": {"matchPaths": [{"path": path}]},
        "action": "Block",
    }))
}

fn ask(review: &Value) -> Answer {
    answer(review.to_string().as_bytes(), Strictness::Lint).unwrap()
}

#[test]
fn a_sound_policy_is_allowed_in_silence() {
    let answer = ask(&review("CREATE", &block("/etc/shadow")));
    assert_eq!(answer.verdict, Verdict::Allowed);
    assert_eq!(
        answer.to_json(),
        json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": {"uid": "705ab4f5", "allowed": true},
        })
    );
}

#[test]
fn a_refusal_names_the_field_and_the_way_out() {
    let answer = ask(&review("CREATE", &block("etc/shadow")));
    assert_eq!(answer.verdict, Verdict::Refused);
    let response = &answer.to_json()["response"];
    assert_eq!(response["allowed"], false);
    assert_eq!(
        (&response["status"]["code"], &response["status"]["reason"]),
        (&json!(422), &json!("Invalid"))
    );
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("spec.file.matchPaths[0].path: "), "{message}");
    assert!(message.contains(" [never-matches]; "), "{message}");
}

#[test]
fn warnings_come_along() {
    let object = policy(&json!({
        "selector": {"matchLabels": {"app": "web"}},
        "file": {"matchPaths": [{"path": "/srv/x", "fromSource": [{"path": "/usr/bin/nginx"}]}]},
        "action": "Allow",
    }));
    let answer = ask(&review("CREATE", &object));
    assert_eq!(answer.verdict, Verdict::Warned);
    let response = &answer.to_json()["response"];
    assert_eq!((&response["allowed"], &response["status"]), (&json!(true), &Value::Null));
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(warning.contains(" [allow-list]; "), "{warning}");
}

#[test]
fn other_kinds_groups_and_subresources_pass() {
    let broken = block("etc/shadow");
    for (field, value) in [
        ("/request/kind/kind", json!("KubeArmorWish")),
        ("/request/kind/group", json!("other.example")),
        ("/request/operation", json!("DELETE")),
        ("/request/object", Value::Null),
    ] {
        let mut review = review("CREATE", &broken);
        *review.pointer_mut(field).unwrap() = value;
        assert_eq!(ask(&review).verdict, Verdict::NotConcerned, "{field}");
    }
    let mut status = review("UPDATE", &broken);
    status["request"]["subResource"] = json!("status");
    assert_eq!(ask(&status).verdict, Verdict::NotConcerned);
}

#[test]
fn what_lies_in_the_cluster_can_be_labelled_whatever_it_says() {
    let broken = block("etc/shadow");
    let mut update = review("UPDATE", &broken);
    update["request"]["oldObject"] = broken.clone();
    update["request"]["object"]["metadata"]["labels"] = json!({"team": "a"});
    assert_eq!(ask(&update).verdict, Verdict::NotConcerned);
    update["request"]["object"]["spec"]["severity"] = json!(3);
    assert_eq!(ask(&update).verdict, Verdict::Refused);
}

#[test]
fn a_dry_run_is_judged_like_any_other() {
    let mut dry = review("CREATE", &block("etc/shadow"));
    let real = ask(&dry);
    dry["request"]["dryRun"] = json!(true);
    assert_eq!(ask(&dry), real);
}

#[test]
fn a_name_that_is_yet_to_be_made_is_no_fault() {
    let mut object = block("/etc/shadow");
    object["metadata"] = json!({"generateName": "web-", "namespace": "shop"});
    assert_eq!(ask(&review("CREATE", &object)).verdict, Verdict::Allowed);
}

#[test]
fn the_lenient_way_refuses_only_what_agents_refuse() {
    // Lint calls it an error, and agents take it: no pattern without the fields for them.
    let odd = review("CREATE", &block("/etc/*.conf")).to_string();
    assert_eq!(answer(odd.as_bytes(), Strictness::Lint).unwrap().verdict, Verdict::Refused);
    let lenient = answer(odd.as_bytes(), Strictness::Unreadable).unwrap();
    assert_eq!(lenient.verdict, Verdict::Warned);
    assert!(lenient.warnings[0].contains("[pattern-in-path]"), "{:?}", lenient.warnings);
    let broken = policy(&json!({
        "selector": {"matchLabels": {"app": "web"}},
        "file": {"matchPatterns": [{"pattern": "/etc/[a"}]},
        "action": "Block",
    }));
    let broken = review("CREATE", &broken).to_string();
    let lenient = answer(broken.as_bytes(), Strictness::Unreadable).unwrap();
    assert_eq!(lenient.verdict, Verdict::Refused);
}

#[test]
fn long_lists_of_findings_are_cut_and_counted() {
    let paths: Vec<Value> = (0..40).map(|n| json!({"path": format!("etc/{n}")})).collect();
    let spec = json!({
        "selector": {"matchLabels": {"app": "web"}},
        "file": {"matchPaths": paths},
        "action": "Block",
    });
    let answer = ask(&review("CREATE", &policy(&spec)));
    assert_eq!(answer.message.lines().count(), SPELLED_OUT + 1);
    assert!(
        answer.message.ends_with("and 30 more: see `karmor policy lint`"),
        "{}",
        answer.message
    );
    let warnings = shortened((0..100).map(|n| format!("{n}{}", "é".repeat(300))).collect());
    let characters: usize = warnings.iter().map(|warning| warning.chars().count()).sum();
    assert!(characters <= ALL_WARNINGS, "{characters}");
    assert!(warnings.iter().all(|warning| warning.chars().count() <= LONGEST_WARNING));
    assert_eq!(warnings.last().unwrap(), "and 85 more: see `karmor policy lint`");
}

#[test]
fn what_is_no_review_is_no_verdict() {
    for body in ["", "{}", "[]", "{\"request\": {\"uid\": \"1\"}}"] {
        assert!(matches!(
            answer(body.as_bytes(), Strictness::Lint),
            Err(ReviewError::Unreadable(_))
        ));
    }
    let mut old = review("CREATE", &block("/x"));
    old["apiVersion"] = json!("admission.k8s.io/v1beta1");
    let error = answer(old.to_string().as_bytes(), Strictness::Lint).unwrap_err();
    assert!(error.to_string().contains("admission.k8s.io/v1beta1"), "{error}");
}

#[test]
fn what_is_no_object_is_refused() {
    let answer = ask(&review("CREATE", &json!("policy")));
    assert_eq!(answer.verdict, Verdict::Refused);
}
