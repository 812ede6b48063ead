//! Which rule to name when a rule set is too large.

use std::collections::BTreeMap;

use policy::PathObject;
use ruleset::{Object, Origin, RuleSet};

use crate::{CompileError, limits::Effort, names::Names};

/// More rules in one message help nobody.
const NAMED: usize = 3;
const SHOWN: usize = 100;

/// The error for rules that passed a limit. `weights` says what each mark has to do with it; all are zero if plain
/// paths and names are the cause.
pub(crate) fn too_large(names: &Names, effort: Effort, weights: &[f64]) -> CompileError {
    let culprit = patterns(names, weights).unwrap_or_else(|| paths(names.set));
    let (limit, what) = effort.beyond().unwrap_or_default();
    CompileError::TooLarge { limit, what, culprit, effort }
}

/// The heaviest pattern, with others only if it alone is not the better half.
fn patterns(names: &Names, weights: &[f64]) -> Option<String> {
    let total: f64 = weights.iter().sum();
    let mut heavy: Vec<(f64, usize)> =
        weights.iter().copied().zip(0..).filter(|&(weight, _)| weight > 0.0).collect();
    heavy.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (first, others) = heavy.split_first()?;
    let mut culprit = described(names, first.1);
    if first.0 * 2.0 < total {
        for (at, &(_, mark)) in others.iter().take(NAMED - 1).enumerate() {
            culprit.push_str(if at == 0 { ", together with " } else { " and " });
            culprit.push_str(&described(names, mark));
        }
    }
    Some(culprit)
}

fn described(names: &Names, mark: usize) -> String {
    let rule = &names.set.rules[names.rule_of[mark] as usize];
    if names.is_source[mark] {
        return format!("fromSource of {}", rule.origin);
    }
    match &rule.object {
        Object::Process(paths) | Object::File(paths) => {
            format!("{} of {}", written(&paths.named), rule.origin)
        }
        _ => rule.origin.to_string(),
    }
}

fn written(object: &PathObject) -> String {
    match object {
        PathObject::Path(text) | PathObject::ExecName(text) | PathObject::Pattern(text) => {
            format!("`{}`", shortened(text))
        }
        PathObject::Directory { dir, .. } => format!("`{}`", shortened(dir)),
    }
}

/// Enough of a text to recognise it: what explodes is often long.
fn shortened(text: &str) -> String {
    let mut out: String = text.chars().take(SHOWN).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}

/// The policy whose paths are longest in sum.
fn paths(set: &RuleSet) -> String {
    let mut bytes: BTreeMap<_, (usize, usize, &Origin)> = BTreeMap::new();
    for rule in &set.rules {
        let origin = &rule.origin;
        let key = (origin.kind, &origin.namespace, &origin.policy);
        let (sum, count, _) = bytes.entry(key).or_insert((0, 0, origin));
        let objects = match &rule.object {
            Object::Process(paths) | Object::File(paths) => {
                std::iter::once(&paths.named).chain(&paths.linked).map(length).sum()
            }
            _ => 0,
        };
        let sources: usize = rule.source.iter().flatten().map(String::len).sum();
        let arguments: usize = rule.allowed_args.iter().flatten().map(String::len).sum();
        *sum += objects + sources + arguments;
        *count += 1;
    }
    let most = bytes.into_values().max_by_key(|&(sum, ..)| sum);
    most.map_or_else(String::new, |(sum, count, origin)| {
        let Origin { kind, policy, namespace, .. } = origin;
        let namespace = namespace.as_ref().map(|n| format!(" in {n}")).unwrap_or_default();
        format!("the {sum} bytes of paths in {count} rules of {kind} {policy}{namespace}")
    })
}

fn length(object: &PathObject) -> usize {
    match object {
        PathObject::Path(text) | PathObject::ExecName(text) | PathObject::Pattern(text) => {
            text.len()
        }
        PathObject::Directory { dir, .. } => dir.len(),
    }
}
