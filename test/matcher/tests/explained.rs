//! What is said about a decision is what `decide` decided, and what is said to turn it round does.

use matcher::generate::{OwnedAccess, access, crowded_access, crowded_rule_set, rule_set};
use proptest::{collection, prelude::*};
use ruleset::{AccessObject, DecidedBy, Part, RuleSet, decide, explain, flip};

fn holds(set: &RuleSet, access: &OwnedAccess) -> Result<(), TestCaseError> {
    access.with(|access| {
        let decision = decide(set, access);
        let explained = explain(set, access);
        prop_assert_eq!(explained.decision, decision);
        let deciders: Vec<_> = (explained.considered.iter())
            .filter_map(|considered| match considered.part {
                Part::Decides { permits, .. } => Some((considered.rule, permits)),
                _ => None,
            })
            .collect();
        let decider = decision.by.and_then(|by| match by {
            DecidedBy::Rule(id) => Some((id, decision.permitted)),
            DecidedBy::Posture(_) => None,
        });
        prop_assert_eq!(deciders, Vec::from_iter(decider));
        let alerting = explained.considered.iter().find(|c| c.part == Part::Alerts);
        let by_audit =
            decision.alert.filter(|_| decision.permitted && decision.alert != decision.by);
        prop_assert_eq!(alerting.map(|c| DecidedBy::Rule(c.rule)), by_audit);
        for considered in &explained.considered {
            if let Part::Yields { to, .. } = considered.part {
                prop_assert!(explained.considered.iter().any(|other| other.rule == to));
            }
        }
        turns(set, access)
    })
}

fn turns(set: &RuleSet, access: &ruleset::Access<'_>) -> Result<(), TestCaseError> {
    let Some(flip) = flip(set, access) else {
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
        let nameable = match &access.object {
            AccessObject::Execute { path, .. } => path.is_some_and(text),
            AccessObject::File { path, .. } => text(path),
            AccessObject::Socket(socket) => socket.is_judged(),
            AccessObject::Capability(_) | AccessObject::Preset(_) => true,
            AccessObject::Dns(name) => name.is_some_and(|name| {
                text(name) && !name.is_empty() && !name.iter().any(|b| matches!(b, b'/' | 0))
            }),
            AccessObject::Syscall { .. } => false,
        };
        let known_subject = access.subject.is_none_or(text);
        prop_assert!(!nameable || !known_subject, "{:?} {:?}", set, access);
        return Ok(());
    };
    let mut changed = set.clone();
    flip.edits.iter().for_each(|edit| edit.apply(&mut changed));
    prop_assert_eq!(decide(&changed, access), flip.decision);
    prop_assert_ne!(flip.decision.permitted, decide(set, access).permitted);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_explanation_tells_what_was_decided(
        set in rule_set(),
        accesses in collection::vec(access(), 20),
    ) {
        for access in &accesses {
            holds(&set, access)?;
        }
    }

    #[test]
    fn so_it_does_where_many_conditions_meet(
        set in crowded_rule_set(),
        accesses in collection::vec(crowded_access(), 20),
    ) {
        for access in &accesses {
            holds(&set, access)?;
        }
    }
}
