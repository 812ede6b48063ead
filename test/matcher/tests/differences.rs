//! Rule sets without a difference decide every access alike, and every difference shows an access that they do not.

use compile::{CompileError, diff};
use matcher::generate::{
    OwnedAccess, OwnedObject, access, crowded_access, crowded_rule_set, rule_set,
};
use policy::Action;
use proptest::{collection, prelude::*};
use ruleset::{Decision, Rule, RuleSet, decide, split_applet};

fn alike(a: &Decision, b: &Decision) -> bool {
    (a.permitted, a.alert.is_some()) == (b.permitted, b.alert.is_some())
}

fn both(sets: [&RuleSet; 2], access: &OwnedAccess) -> [Decision; 2] {
    access.with(|access| sets.map(|set| decide(set, access)))
}

/// The kernel reports no other paths.
fn is_possible(set: &RuleSet, access: &OwnedAccess) -> bool {
    let canonical = |path: &[u8]| !path.windows(2).any(|pair| pair == b"//");
    let program = |path: &[u8]| canonical(path) || split_applet(path, &set.multicall).is_some();
    access.subject.as_deref().is_none_or(program)
        && match &access.object {
            OwnedObject::Execute { path, .. } => path.as_deref().is_none_or(program),
            OwnedObject::File { path, .. } => canonical(path),
            _ => true,
        }
}

fn agree(sets: [&RuleSet; 2], accesses: &[OwnedAccess]) -> Result<(), TestCaseError> {
    let differences = match diff(sets[0], sets[1], alike) {
        Err(CompileError::TooManyStates { .. } | CompileError::TooManyArgumentChoices { .. }) => {
            return Err(TestCaseError::reject("too many"));
        }
        found => found.map_err(|error| TestCaseError::fail(error.to_string()))?,
    };
    for found in &differences {
        prop_assert_eq!(both(sets, &found.access), [found.old, found.new]);
        prop_assert!(!alike(&found.old, &found.new));
    }
    for access in accesses.iter().filter(|access| is_possible(sets[0], access)) {
        let [old, new] = both(sets, access);
        let known = differences.iter().any(|found| found.old == old && found.new == new);
        prop_assert!(known || alike(&old, &new), "{:?} {:?} {:?}", access, old, new);
    }
    Ok(())
}

/// The set after a small edit.
fn edited(set: &RuleSet, at: usize, edit: u8) -> RuleSet {
    let mut edited = set.clone();
    let Some(at) = at.checked_rem(set.rules.len()) else { return edited };
    let rule: &mut Rule = &mut edited.rules[at];
    match edit % 6 {
        0 => drop(edited.rules.remove(at)),
        1 => rule.action = Action::Audit,
        2 => rule.action = Action::Allow,
        3 => rule.source = None,
        4 => rule.owner_only = !rule.owner_only,
        _ => edited.rules.reverse(),
    }
    edited
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn unlike_sets_and_random_accesses(
        old in rule_set(),
        mut new in rule_set(),
        accesses in collection::vec(access(), 60),
    ) {
        new.multicall.clone_from(&old.multicall);
        agree([&old, &new], &accesses)?;
    }

    #[test]
    fn sets_with_a_small_edit(
        old in rule_set(),
        at in any::<usize>(),
        edit in any::<u8>(),
        accesses in collection::vec(access(), 60),
    ) {
        agree([&old, &edited(&old, at, edit)], &accesses)?;
    }

    #[test]
    fn sets_where_many_conditions_meet(
        old in crowded_rule_set(),
        at in any::<usize>(),
        edit in any::<u8>(),
        accesses in collection::vec(crowded_access(), 40),
    ) {
        agree([&old, &edited(&old, at, edit)], &accesses)?;
    }
}
