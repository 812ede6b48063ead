//! What each part of the language means and refuses, on small policies.

mod documents;
mod idle;
mod nodes;
mod refusals;
mod rules;
mod selectors;

use policy::{Diagnostic, Kind, Policy, parse};

/// A container policy with this spec, written at the left margin.
fn text(spec: &str) -> String {
    text_of(Kind::Container, spec)
}

fn text_of(kind: Kind, spec: &str) -> String {
    let spec = spec.trim_matches('\n').replace('\n', "\n  ");
    format!(
        "apiVersion: security.kubearmor.com/v1\nkind: {kind}\nmetadata: {{name: p}}\nspec:\n  {spec}\n"
    )
}

fn read(text: &str) -> (Policy, Vec<Diagnostic>) {
    let mut parsed = parse(text, "p.yaml");
    assert!(!parsed.has_errors(), "{text}\n{:#?}", parsed.diagnostics);
    assert_eq!(parsed.policies.len(), 1, "{text}");
    (parsed.policies.remove(0), parsed.diagnostics)
}

/// The policy of a text that raises no finding at all.
fn clean(text: &str) -> Policy {
    let (policy, diagnostics) = read(text);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    policy
}

/// The codes and fields of the warnings about a text that is accepted.
fn warnings(text: &str) -> Vec<(&'static str, String)> {
    read(text).1.into_iter().map(|found| (found.code, found.field)).collect()
}

/// The only error of a text that is refused.
fn error(text: &str) -> Diagnostic {
    let parsed = parse(text, "p.yaml");
    assert!(parsed.policies.is_empty(), "{text}");
    let mut errors: Vec<_> = parsed.diagnostics.into_iter().filter(Diagnostic::is_error).collect();
    assert_eq!(errors.len(), 1, "{text}\n{errors:#?}");
    errors.remove(0)
}

fn assert_error(text: &str, code: &str, field: &str) {
    let found = error(text);
    assert_eq!((found.code, found.field.as_str()), (code, field), "{text}");
}

const RULE: &str = "process: {matchPaths: [{path: /bin/a}]}";
