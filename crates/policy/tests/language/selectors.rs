//! Whom policies select.

use policy::{Expression, ExpressionKey, Kind, Operator, Selector};

use crate::{RULE, assert_error, clean, text, text_of, warnings};

#[test]
fn selectors() {
    let policy = clean(&text(&format!(
        "selector:\n  matchLabels: {{app: web, kubearmor.io/container.name: '[a, b]'}}\n  \
         matchExpressions: [{{key: label, operator: NotIn, values: [stage=test]}}]\n{RULE}"
    )));
    let selector = &policy.spec.selector;
    assert_eq!(selector.match_labels.len(), 1);
    assert_eq!(selector.containers.as_deref(), Some("[a, b]"));
    let expression = Expression {
        key: ExpressionKey::Label,
        operator: Operator::NotIn,
        values: vec!["stage=test".into()],
    };
    assert_eq!(selector.expressions, [expression]);
    assert_eq!(clean(&text(&format!("selector: {{}}\n{RULE}"))).spec.selector, Selector::default());

    let namespaces = format!(
        "selector: {{matchExpressions: [{{key: namespace, operator: In, values: [a]}}]}}\n{RULE}"
    );
    clean(&text_of(Kind::Cluster, &namespaces));
    let key = "spec.selector.matchExpressions[0].key";
    assert_error(&text(&namespaces), "invalid-value", key);
    let widened = warnings(&text(&format!("selector: {{app: web}}\n{RULE}")));
    assert!(widened.iter().any(|(code, _)| *code == "selects-everything"));
    assert_eq!(warnings(&text_of(Kind::Host, RULE))[0].0, "missing-selector");
}

#[test]
fn names_that_are_no_expressions_are_told() {
    let never = |field: &str| [("never-matches", format!("spec.{field}"))];
    let container = |name: &str| {
        let labels =
            format!("selector: {{matchLabels: {{kubearmor.io/container.name: '{name}'}}}}");
        warnings(&text(&format!("{labels}\n{RULE}")))
    };
    for broken in ["(", "*", "web-[0-9", "web-*+?+, a(b", "[web, a(]", "[web, *]"] {
        let field = "selector.matchLabels.kubearmor.io/container.name";
        assert_eq!(container(broken), never(field), "{broken}");
    }
    for name in ["main", "a.b", "a, b", "[a, b]", "[]", "web-[0-9]{1,2}", "w.*", "[web, a|b]"] {
        assert_eq!(container(name), [], "{name}");
    }
    let host = |key: &str, value: &str| {
        let labels = format!("nodeSelector: {{matchLabels: {{{key}: '{value}'}}}}");
        warnings(&text_of(Kind::Host, &format!("{labels}\n{RULE}")))
    };
    let field = "nodeSelector.matchLabels.kubearmor.io/hostnamereg";
    assert_eq!(host("kubearmor.io/hostnamereg", "node-["), never(field));
    for value in ["*", "node-*", "node-[0-9]+", "node"] {
        assert_eq!(host("kubearmor.io/hostnamereg", value), [], "{value}");
    }
    assert_eq!(host("kubearmor.io/hostname", "node-["), [], "that is a plain name");
}
