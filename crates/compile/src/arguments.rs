//! Command lines that rules with `allowedArgs` tell apart.

use std::collections::{BTreeMap, BTreeSet};

use ruleset::Rule;

use crate::{CompileError, limits::ARGUMENT_CHOICES};

/// Arguments for every set of the rules' `allowedArgs` that a command line can keep to, none at all among them.
pub fn argument_choices<'r>(
    rules: impl IntoIterator<Item = &'r Rule>,
) -> Result<Vec<Vec<String>>, CompileError> {
    let rules: Vec<&Rule> = rules.into_iter().filter(|rule| rule.allowed_args.is_some()).collect();
    let allowed: BTreeSet<&BTreeSet<String>> =
        rules.iter().filter_map(|rule| rule.allowed_args.as_ref()).collect();
    let keeps: Vec<bool> = vec![true; allowed.len()];
    let mut choices = BTreeMap::from([(keeps, vec![])]);
    if allowed.is_empty() {
        return Ok(choices.into_values().collect());
    }
    // One argument for each set of lists that have it, first of all so that the choices are short.
    let mut single: BTreeMap<Vec<bool>, String> = BTreeMap::new();
    for argument in arguments(&allowed) {
        let keeps: Vec<bool> = allowed.iter().map(|list| list.contains(&argument)).collect();
        choices.entry(keeps.clone()).or_insert_with(|| vec![argument.clone()]);
        single.entry(keeps).or_insert(argument);
    }
    // Each further argument can only break more lists.
    for (keeps, argument) in &single {
        for (lists, mut args) in choices.clone() {
            let both: Vec<bool> = lists.iter().zip(keeps).map(|(a, b)| *a && *b).collect();
            args.push(argument.clone());
            choices.entry(both).or_insert(args);
        }
        if choices.len() > ARGUMENT_CHOICES {
            return Err(too_many(&rules));
        }
    }
    Ok(choices.into_values().collect())
}

/// All that are listed, and one that is not.
fn arguments(allowed: &BTreeSet<&BTreeSet<String>>) -> impl Iterator<Item = String> {
    let listed: BTreeSet<String> = allowed.iter().copied().flatten().cloned().collect();
    let mut other = "other".to_owned();
    while listed.contains(&other) {
        other.push('-');
    }
    listed.into_iter().chain([other])
}

/// Names the rule that lists most.
fn too_many(rules: &[&Rule]) -> CompileError {
    let longest = rules.iter().max_by_key(|rule| rule.allowed_args.as_ref().map(BTreeSet::len));
    let origin = longest.map(|rule| rule.origin.to_string()).unwrap_or_default();
    CompileError::TooManyArgumentChoices { origin, limit: ARGUMENT_CHOICES }
}

#[cfg(test)]
mod tests {
    use ruleset::{Links, rules_of};

    use super::*;

    /// Rules on one program, each with its list of arguments.
    fn rules(lists: &[String]) -> Vec<Rule> {
        let rules = lists.iter().map(|list| format!("{{path: /bin/x, allowedArgs: [{list}]}}"));
        let text = format!(
            "apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {{name: p}}\nspec:\n  \
             process: {{matchPaths: [{}]}}\n",
            rules.collect::<Vec<_>>().join(", ")
        );
        let parsed = policy::parse(&text, "");
        parsed.policies.iter().flat_map(|policy| rules_of(policy, &Links::default())).collect()
    }

    /// Lists each of which lacks one of as many arguments.
    fn lacking_one(count: usize) -> Vec<String> {
        let names: Vec<String> = (0..count).map(|number| format!("a{number}")).collect();
        let lacking = |number| {
            let others = names.iter().enumerate().filter(|(other, _)| *other != number);
            others.map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", ")
        };
        (0..count).map(lacking).collect()
    }

    #[test]
    fn every_choice_has_one_command_line() {
        assert_eq!(argument_choices(&rules(&[])).unwrap(), [vec![] as Vec<String>]);
        let choices = argument_choices(&rules(&["a".into(), "a, b".into()])).unwrap();
        assert_eq!(choices, [vec!["other".to_owned()], vec!["b".to_owned()], vec![]]);
        assert_eq!(argument_choices(&rules(&lacking_one(8))).unwrap().len(), 1 << 8);
    }

    #[test]
    fn too_many_choices_name_a_rule() {
        let error = argument_choices(&rules(&lacking_one(13))).unwrap_err();
        assert!(error.to_string().starts_with("KubeArmorPolicy p, spec.process"), "{error}");
    }
}
