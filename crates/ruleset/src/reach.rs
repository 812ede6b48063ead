//! Whether two policies can concern one workload, told from their selectors alone.

use policy::{Expression, ExpressionKey, Kind, Operator, Policy, Selector};

use crate::select::{CONTAINER_NAME_KEY, CONTAINER_NAMESPACE, DEFAULT_NAMESPACE};

/// Of the workloads that one policy selects, those that the other selects too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// None can be.
    Never,
    /// It depends on the workload.
    Sometimes,
    /// All of them.
    Always,
}

/// Whether what `policy` selects is selected by `other` as well. `Never` and `Always` are certain.
pub fn reach(policy: &Policy, other: &Policy) -> Reach {
    let hosts = |policy: &Policy| matches!(policy.id.kind, Kind::Host | Kind::Network);
    if hosts(policy) != hosts(other) {
        return Reach::Never;
    }
    let namespaces = match (namespace(policy), namespace(other)) {
        _ if hosts(policy) => Reach::Always,
        (Some(one), Some(two)) => within(one, two),
        (None, Some(two)) if excludes_namespace(&policy.spec.selector, two) => Reach::Never,
        (None, Some(_)) => Reach::Sometimes,
        (_, None) => Reach::Always,
    };
    let facts = Facts { selector: &policy.spec.selector, namespace: namespace(policy) };
    let theirs = Facts { selector: &other.spec.selector, namespace: namespace(other) };
    let all = [namespaces, facts.imply(&theirs)].into_iter().chain(
        // What excludes one excludes the other.
        [theirs.imply(&facts)].into_iter().map(|back| match back {
            Reach::Never => Reach::Never,
            _ => Reach::Always,
        }),
    );
    all.fold(Reach::Always, Reach::and)
}

impl Reach {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Never, _) | (_, Self::Never) => Self::Never,
            (Self::Always, Self::Always) => Self::Always,
            _ => Self::Sometimes,
        }
    }
}

fn namespace(policy: &Policy) -> Option<&str> {
    let named = policy.id.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    (policy.id.kind == Kind::Container).then_some(named)
}

/// Whether a workload of one namespace is of the other. Those that name none are of two.
fn within(one: &str, other: &str) -> Reach {
    match (one, other) {
        _ if one == other => Reach::Always,
        (CONTAINER_NAMESPACE, DEFAULT_NAMESPACE) => Reach::Always,
        (DEFAULT_NAMESPACE, CONTAINER_NAMESPACE) => Reach::Sometimes,
        _ => Reach::Never,
    }
}

fn excludes_namespace(selector: &Selector, namespace: &str) -> bool {
    selector.expressions.iter().filter(|e| e.key == ExpressionKey::Namespace).any(|expression| {
        let mut listed = expression.values.iter().map(|value| within(namespace, value));
        match expression.operator {
            Operator::In => listed.all(|reach| reach == Reach::Never),
            Operator::NotIn => listed.any(|reach| reach == Reach::Always),
        }
    })
}

/// What is known of a workload that a selector has selected.
struct Facts<'p> {
    selector: &'p Selector,
    namespace: Option<&'p str>,
}

impl Facts<'_> {
    fn imply(&self, other: &Facts<'_>) -> Reach {
        let labels = other.selector.match_labels.iter().map(|(key, value)| self.label(key, value));
        let expressions = other.selector.expressions.iter().map(|wanted| self.expression(wanted));
        let containers = &other.selector.containers;
        let containers = containers.as_deref().map_or(Reach::Always, |wanted| self.named(wanted));
        labels.chain(expressions).fold(containers, Reach::and)
    }

    fn label(&self, key: &str, value: &str) -> Reach {
        match self.selector.match_labels.get(key) {
            Some(known) if known == value => Reach::Always,
            // Names of hosts may be lists or expressions.
            Some(known) if is_name(known) && is_name(value) => Reach::Never,
            Some(_) => Reach::Sometimes,
            None if key == CONTAINER_NAME_KEY => self.named(value),
            None => self.listed_label(key, value),
        }
    }

    /// A filter for the names of containers.
    fn named(&self, filter: &str) -> Reach {
        let plain = |text: &str| !text.is_empty() && is_name(text);
        match &self.selector.containers {
            Some(own) if own == filter => Reach::Always,
            Some(own) if plain(own) && plain(filter) => Reach::Never,
            _ => Reach::Sometimes,
        }
    }

    /// Expressions of our own can fix the label as well.
    fn listed_label(&self, key: &str, value: &str) -> Reach {
        let wanted = format!("{key}={value}");
        let of_labels = self.selector.expressions.iter().filter(|e| e.key == ExpressionKey::Label);
        let mut found = Reach::Sometimes;
        for expression in of_labels {
            let listed = expression.values.contains(&wanted);
            match expression.operator {
                Operator::NotIn if listed => return Reach::Never,
                Operator::In if listed && expression.values.len() == 1 => found = Reach::Always,
                Operator::In if !listed && expression.values.iter().all(|v| key_of(v) == key) => {
                    return Reach::Never;
                }
                Operator::In | Operator::NotIn => {}
            }
        }
        found
    }

    fn expression(&self, wanted: &Expression) -> Reach {
        let values = wanted.values.iter();
        let holds: Vec<Reach> = match wanted.key {
            ExpressionKey::Label => values
                .map(|value| match value.split_once('=') {
                    Some((key, value)) => self.label(key, value),
                    None => Reach::Never,
                })
                .collect(),
            ExpressionKey::Namespace => values.map(|value| self.is_in(value)).collect(),
        };
        let any = |reach| holds.contains(&reach);
        let none = holds.iter().all(|&reach| reach == Reach::Never);
        let same = self.selector.expressions.iter().any(|own| implies(own, wanted));
        match wanted.operator {
            _ if same => Reach::Always,
            Operator::In if any(Reach::Always) => Reach::Always,
            Operator::In if none => Reach::Never,
            Operator::NotIn if any(Reach::Always) => Reach::Never,
            Operator::NotIn if none => Reach::Always,
            Operator::In | Operator::NotIn => Reach::Sometimes,
        }
    }

    fn is_in(&self, namespace: &str) -> Reach {
        match self.namespace {
            Some(own) => within(own, namespace),
            None if excludes_namespace(self.selector, namespace) => Reach::Never,
            None => Reach::Sometimes,
        }
    }
}

/// Of two expressions on the same key.
fn implies(own: &Expression, wanted: &Expression) -> bool {
    let among = |inner: &[String], outer: &[String]| inner.iter().all(|v| outer.contains(v));
    own.key == wanted.key
        && match (own.operator, wanted.operator) {
            (Operator::In, Operator::In) => among(&own.values, &wanted.values),
            (Operator::NotIn, Operator::NotIn) => among(&wanted.values, &own.values),
            _ => false,
        }
}

fn key_of(value: &str) -> &str {
    value.split_once('=').map_or(value, |(key, _)| key)
}

/// One plain name, no list and no expression.
fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:".contains(c))
}
