//! The workloads that policies tell apart: for each set of policies that can select one workload together, a witness.

use std::collections::{BTreeMap, BTreeSet};

use policy::{
    Expression, ExpressionKey, Kind, NameChoice, Operator, Policy, Selector, host_pattern,
    name_choices, whole_name,
};

use crate::{
    Workload, WorkloadKind,
    names::telling_names,
    select,
    select::{
        CONTAINER_NAME_KEY, DEFAULT_NAMESPACE, HOSTNAME_KEYS, expression_holds, host_label_holds,
        is_hostname_key, names_container, names_containers,
    },
};

/// How many sets of labels are followed at once within one namespace and name. Where there are more, those with the
/// fewest labels are: rules of few policies meet more often than those of many.
const MAX_STATES: usize = 1024;
/// The name of a container, of a host and of a namespace that no policy names.
const OTHER_CONTAINER: &str = "main";
const OTHER_HOST: &str = "node";
const OTHER_NAMESPACE: &str = "other";

/// A workload, and which of the policies select it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadClass {
    pub workload: Workload,
    /// Indices of the policies, sorted.
    pub selected: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadClasses {
    pub classes: Vec<WorkloadClass>,
    /// There are no others. False where selectors are too many or too involved to follow all of them.
    pub complete: bool,
}

/// The workloads that the policies tell apart, as far as any of `interesting` (indices again) selects them.
pub fn workload_classes(policies: &[&Policy], interesting: &BTreeSet<usize>) -> WorkloadClasses {
    let mut found = Found { policies, classes: BTreeMap::new(), complete: true };
    found.containers(interesting);
    found.hosts(interesting);
    let classes = found.classes.into_iter();
    let classes = classes.map(|(selected, workload)| WorkloadClass { workload, selected });
    WorkloadClasses { classes: classes.collect(), complete: found.complete }
}

struct Found<'p> {
    policies: &'p [&'p Policy],
    classes: BTreeMap<Vec<usize>, Workload>,
    complete: bool,
}

impl Found<'_> {
    fn containers(&mut self, interesting: &BTreeSet<usize>) {
        let of_containers =
            |policy: &&&Policy| matches!(policy.id.kind, Kind::Container | Kind::Cluster);
        let policies: Vec<&Policy> = self.policies.iter().filter(of_containers).copied().collect();
        let filters = policies
            .iter()
            .flat_map(|policy| container_filters(&policy.spec.selector))
            .filter_map(container_filter);
        let (names, complete) = telling_names(&filters.collect(), OTHER_CONTAINER);
        self.complete &= complete;
        for namespace in namespaces(&policies) {
            for name in &names {
                let fixed = Workload {
                    kind: WorkloadKind::Container,
                    name: name.clone(),
                    namespace: namespace.clone(),
                    labels: BTreeMap::new(),
                };
                self.labelled(&fixed, interesting);
            }
        }
    }

    fn hosts(&mut self, interesting: &BTreeSet<usize>) {
        let policies = self.policies.iter().filter(|policy| policy.id.kind == Kind::Host);
        let (names, complete) =
            telling_names(&policies.flat_map(|p| host_filters(p)).collect(), OTHER_HOST);
        self.complete &= complete;
        for name in names {
            // As hosts carry their names.
            let labels = HOSTNAME_KEYS.map(|key| (key.to_owned(), name.clone())).into();
            let fixed =
                Workload { kind: WorkloadKind::Host, name, namespace: String::new(), labels };
            self.labelled(&fixed, interesting);
        }
    }

    /// All that further labels can make of a workload.
    fn labelled(&mut self, fixed: &Workload, interesting: &BTreeSet<usize>) {
        let needs: Vec<Option<Need<'_>>> =
            self.policies.iter().map(|policy| Need::of(policy, fixed)).collect();
        let options = options(needs.iter().flatten());
        let all = needs.iter().map(|need| need.as_ref().map(|_| 0)).collect();
        let mut states: BTreeMap<Vec<Option<u64>>, BTreeMap<String, String>> =
            BTreeMap::from([(all, fixed.labels.clone())]);
        for (&key, values) in &options {
            let mut next = BTreeMap::new();
            for (state, labels) in states {
                for value in std::iter::once(None).chain(values.iter().copied().map(Some)) {
                    let state = step(&needs, &state, key, value);
                    if interesting.iter().all(|&index| state[index].is_none()) {
                        continue;
                    }
                    let mut labels = labels.clone();
                    labels.extend(value.map(|value| (key.to_owned(), value.to_owned())));
                    next.entry(state).or_insert(labels);
                }
            }
            if next.len() > MAX_STATES {
                self.complete = false;
                let mut all: Vec<_> = next.into_iter().collect();
                all.sort_by_key(|(_, labels): &(_, BTreeMap<_, _>)| labels.len());
                all.truncate(MAX_STATES);
                next = all.into_iter().collect();
            }
            states = next;
        }
        for labels in states.into_values() {
            let workload = Workload { labels, ..fixed.clone() };
            let selected = |&index: &usize| select(self.policies[index], &workload);
            let selected: Vec<usize> = (0..self.policies.len()).filter(selected).collect();
            if selected.iter().any(|index| interesting.contains(index)) {
                self.classes.entry(selected).or_insert(workload);
            }
        }
    }
}

/// What a policy still asks of a workload's labels, its name and namespace being settled.
struct Need<'p> {
    each: Vec<(&'p str, &'p str)>,
    /// Of each list at least one. Nobody writes more than 64.
    any: Vec<Vec<(&'p str, &'p str)>>,
    none: Vec<(&'p str, &'p str)>,
}

impl<'p> Need<'p> {
    /// `None` if no label could make the policy select the workload.
    fn of(policy: &'p Policy, fixed: &Workload) -> Option<Self> {
        let selector = &policy.spec.selector;
        let (mut each, mut any, mut none) = (vec![], vec![], vec![]);
        match (policy.id.kind, fixed.kind) {
            (Kind::Container, WorkloadKind::Container) => {
                let namespace = policy.id.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
                fixed.is_in(namespace).then_some(())?;
            }
            (Kind::Cluster, WorkloadKind::Container) | (Kind::Host, WorkloadKind::Host) => {}
            _ => return None,
        }
        let named = selector.containers.as_deref();
        named.is_none_or(|filter| names_container(filter, fixed)).then_some(())?;
        for (key, value) in &selector.match_labels {
            if fixed.kind == WorkloadKind::Host && is_hostname_key(key) {
                host_label_holds(key, value, fixed).then_some(())?;
            } else {
                each.push((key.as_str(), value.as_str()));
            }
        }
        for expression in &selector.expressions {
            let settled = expression.key == ExpressionKey::Namespace;
            match expression.operator {
                _ if settled => expression_holds(expression, fixed).then_some(())?,
                Operator::In if expression_holds(expression, fixed) => {}
                Operator::In => any.push(labels(expression, fixed.kind)),
                Operator::NotIn if !expression_holds(expression, fixed) => return None,
                Operator::NotIn => none.extend(labels(expression, fixed.kind)),
            }
        }
        Some(Self { each, any, none })
    }
}

fn pairs(expression: &Expression) -> Vec<(&str, &str)> {
    expression.values.iter().filter_map(|value| value.split_once('=')).collect()
}

/// Without what names containers: their names are settled.
fn labels(expression: &Expression, kind: WorkloadKind) -> Vec<(&str, &str)> {
    pairs(expression).into_iter().filter(|(key, _)| !names_containers(kind, key)).collect()
}

/// Every key and the values that policies tell apart. That a key is absent, or has another value, is one more.
fn options<'n, 'p: 'n>(
    needs: impl Iterator<Item = &'n Need<'p>>,
) -> BTreeMap<&'p str, BTreeSet<&'p str>> {
    let mut options: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for need in needs {
        for &(key, value) in need.each.iter().chain(need.any.iter().flatten()).chain(&need.none) {
            // Hosts carry their names as labels, which are settled.
            options.entry(key).or_default().insert(value);
        }
    }
    options
}

/// What becomes of each policy when a key gets a value: `None` if it cannot select any more, else which of its lists
/// are satisfied. Keys come in their order.
fn step(
    needs: &[Option<Need<'_>>],
    state: &[Option<u64>],
    key: &str,
    value: Option<&str>,
) -> Vec<Option<u64>> {
    let one = |(need, met): (&Option<Need<'_>>, &Option<u64>)| {
        let (need, mut met) = (need.as_ref()?, (*met)?);
        let has = |(k, v): &(&str, &str)| *k == key && value == Some(*v);
        let lacks = |pair: &(&str, &str)| pair.0 == key && !has(pair);
        if need.each.iter().any(lacks) || need.none.iter().any(has) {
            return None;
        }
        for (bit, list) in need.any.iter().enumerate() {
            let bit = 1_u64.checked_shl(u32::try_from(bit).unwrap_or(u32::MAX)).unwrap_or(0);
            met |= if list.iter().any(has) { bit } else { 0 };
            // Later keys cannot satisfy a list whose keys have all been decided.
            if bit & met == 0 && list.iter().all(|(k, _)| *k <= key) {
                return None;
            }
        }
        Some(met)
    };
    needs.iter().zip(state).map(one).collect()
}

/// The namespaces that policies name, and one more.
fn namespaces(policies: &[&Policy]) -> BTreeSet<String> {
    let own = policies
        .iter()
        .filter(|policy| policy.id.kind == Kind::Container)
        .map(|policy| policy.id.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()));
    let named = policies
        .iter()
        .flat_map(|policy| &policy.spec.selector.expressions)
        .filter(|expression| expression.key == ExpressionKey::Namespace)
        .flat_map(|expression| expression.values.iter().cloned());
    let mut all: BTreeSet<String> = own.chain(named).collect();
    let mut other = OTHER_NAMESPACE.to_owned();
    while all.contains(&other) {
        other.push('-');
        other.push_str(OTHER_NAMESPACE);
    }
    all.insert(other);
    all
}

/// What a selector says of the names of containers.
fn container_filters(selector: &Selector) -> Vec<&str> {
    let by_expression = selector.expressions.iter().flat_map(pairs);
    let by_expression = by_expression.filter(|(key, _)| *key == CONTAINER_NAME_KEY);
    selector.containers.as_deref().into_iter().chain(by_expression.map(|(_, name)| name)).collect()
}

/// A regular expression for the names that a filter of containers passes; `None` if it passes all.
fn container_filter(filter: &str) -> Option<String> {
    let choices: Vec<String> = name_choices(filter)
        .iter()
        .filter_map(|choice| match choice {
            NameChoice::Plain(name) => Some(regex::escape(name)),
            // A broken one passes nothing.
            NameChoice::Expression(text) => whole_name(text).is_ok().then(|| format!("(?:{text})")),
        })
        .collect();
    (!choices.is_empty()).then(|| format!("(?:{})$", choices.join("|")))
}

/// Regular expressions for the host names that a policy tells apart.
fn host_filters(policy: &Policy) -> Vec<String> {
    let selector = &policy.spec.selector;
    let plain = |names: &str| -> Vec<String> {
        names.split(',').map(|name| format!("(?:{})$", regex::escape(name.trim()))).collect()
    };
    let labels = selector.match_labels.iter().filter(|(key, _)| is_hostname_key(key));
    let by_label = labels.flat_map(|(key, value)| {
        if HOSTNAME_KEYS.contains(&key.as_str()) {
            return plain(value);
        }
        let pattern = host_pattern(value).map(|p| format!("(?s:.*)(?:{p})(?s:.*)$"));
        pattern.into_iter().collect()
    });
    let by_expression = selector
        .expressions
        .iter()
        .flat_map(pairs)
        .filter(|(key, _)| HOSTNAME_KEYS.contains(key))
        .flat_map(|(_, name)| plain(name));
    by_label.chain(by_expression).collect()
}
