//! `selector` and `nodeSelector`: whom a policy concerns.

use crate::{
    Expression, ExpressionKey, HOSTNAME_PATTERN_KEYS, Kind, Operator, Selector, names,
    reader::{Field, Fields, Report},
};

/// The label that names containers instead of describing them.
const CONTAINER_NAME: &str = "kubearmor.io/container.name";

pub(crate) const KEYS: [(&str, ExpressionKey); 1] = [("label", ExpressionKey::Label)];
pub(crate) const CLUSTER_KEYS: [(&str, ExpressionKey); 2] =
    [("namespace", ExpressionKey::Namespace), ("label", ExpressionKey::Label)];
pub(crate) const OPERATORS: [(&str, Operator); 2] =
    [("In", Operator::In), ("NotIn", Operator::NotIn)];

/// What the spec selects, and whether a `nodeSelector` (or nothing) did it.
pub(crate) fn read(kind: Kind, spec: &mut Fields<'_>, report: &mut Report<'_>) -> (Selector, bool) {
    match kind {
        Kind::Container | Kind::Cluster => (read_one(kind, "selector", spec, report), false),
        Kind::Host => {
            warn_if_missing(spec, &["nodeSelector"], report);
            (read_one(kind, "nodeSelector", spec, report), true)
        }
        Kind::Network => {
            warn_if_missing(spec, &["nodeSelector", "selector"], report);
            let nodes = read_one(kind, "nodeSelector", spec, report);
            let pods = read_one(kind, "selector", spec, report);
            let empty = Selector::default();
            if nodes != empty && pods != empty {
                let message = "`selector` and `nodeSelector` exclude each other";
                spec.error("invalid-value", message, "delete one of them", report);
            }
            if pods == empty { (nodes, true) } else { (pods, false) }
        }
    }
}

fn warn_if_missing(spec: &mut Fields<'_>, keys: &[&'static str], report: &mut Report<'_>) {
    if !keys.iter().any(|key| spec.has(key)) {
        let message = "has no `nodeSelector` and concerns every node";
        let hint = "select nodes with `nodeSelector: {matchLabels: {...}}`";
        spec.warning("missing-selector", message, hint, report);
    }
}

fn read_one(
    kind: Kind,
    key: &'static str,
    spec: &mut Fields<'_>,
    report: &mut Report<'_>,
) -> Selector {
    let mut selector = Selector::default();
    let Some(field) = spec.get(key, report) else { return selector };
    let Some(mut fields) = field.fields(report) else { return selector };
    if let Some(labels) = fields.get("matchLabels", report) {
        read_labels(kind, &labels, &mut selector, report);
    }
    for item in fields.items("matchExpressions", report) {
        if let Some(mut expression) = item.fields(report) {
            selector.expressions.extend(read_expression(kind, &mut expression, report));
            expression.finish(report);
        }
    }
    if selector == Selector::default() && !fields.is_empty() {
        let message = "selects everything: it has no label and no expression";
        let hint = "write labels under `matchLabels`, or `{}` if everything is meant";
        report.warning("selects-everything", &field, message, hint);
    }
    fields.finish(report);
    selector
}

fn read_labels(kind: Kind, field: &Field<'_>, selector: &mut Selector, report: &mut Report<'_>) {
    let Some(labels) = field.fields(report) else { return };
    for (key, value) in labels.all() {
        let Some(text) = value.text(report) else { continue };
        if key == CONTAINER_NAME && matches!(kind, Kind::Container | Kind::Cluster) {
            names::check_containers(&value, text, report);
            selector.containers = Some(text.to_owned());
        } else {
            if HOSTNAME_PATTERN_KEYS.contains(&key) && matches!(kind, Kind::Host | Kind::Network) {
                names::check_host_pattern(&value, text, report);
            }
            selector.match_labels.insert(key.to_owned(), text.to_owned());
        }
    }
}

fn read_expression(
    kind: Kind,
    fields: &mut Fields<'_>,
    report: &mut Report<'_>,
) -> Option<Expression> {
    let keys: &[_] = if kind == Kind::Cluster { &CLUSTER_KEYS } else { &KEYS };
    let key = required(fields, "key", report)
        .and_then(|field| field.one_of(keys, "an expression key", exactly, report));
    let operator = required(fields, "operator", report)
        .and_then(|field| field.one_of(&OPERATORS, "an operator", exactly, report));
    let values = values(fields, key, report);
    Some(Expression { key: key?, operator: operator?, values })
}

fn values(
    fields: &mut Fields<'_>,
    key: Option<ExpressionKey>,
    report: &mut Report<'_>,
) -> Vec<String> {
    let before = report.errors();
    let items = fields.items("values", report);
    if items.is_empty() && report.errors() == before {
        fields.error("missing-field", "has no `values`", "write `values: [app=web]`", report);
    }
    let mut out = Vec::new();
    for item in items {
        let Some(text) = item.text(report) else { continue };
        if key == Some(ExpressionKey::Label) && !text.contains('=') {
            let message = format!("`{text}` can never match: labels are written `key=value`");
            report.warning("never-matches", &item, message, format!("write `{text}=...`"));
        }
        out.push(text.to_owned());
    }
    out
}

fn required<'t>(
    fields: &mut Fields<'t>,
    key: &'static str,
    report: &mut Report<'_>,
) -> Option<Field<'t>> {
    let field = fields.get(key, report);
    if field.is_none() {
        let example = "write `{key: label, operator: In, values: [app=web]}`";
        fields.error("missing-field", format!("has no `{key}`"), example, report);
    }
    field
}

fn exactly(a: &str, b: &str) -> bool {
    a == b
}
