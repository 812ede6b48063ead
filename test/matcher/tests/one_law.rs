//! One law, three readings: the oracle, the interpreter of images, and the C matcher.

use compile::CompileError;
use matcher::generate::{OwnedAccess, access, crowded_access, crowded_rule_set, rule_set};
use proptest::{collection, prelude::*};
use ruleset::{RuleSet, Socket};

fn agree(set: &RuleSet, accesses: &[OwnedAccess]) -> Result<(), TestCaseError> {
    let image = match compile::compile(set) {
        Err(CompileError::PlanTooLong { .. }) => return Err(TestCaseError::reject("too long")),
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
        Ok(image) => image,
    };
    for access in accesses {
        access.with(|access| {
            let decided = ruleset::decide(set, access);
            prop_assert_eq!(decided, compile::interpret(&image.words, access), "{:?}", access);
            prop_assert_eq!(decided, matcher::decide(&image, access), "C: {:?}", access);
            Ok(())
        })?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// 200,000 accesses.
    #[test]
    fn oracle_interpreter_and_c_matcher_agree(
        set in rule_set(),
        accesses in collection::vec(access(), 100),
    ) {
        agree(&set, &accesses)?;
    }

    #[test]
    fn they_agree_where_many_conditions_meet(
        set in crowded_rule_set(),
        accesses in collection::vec(crowded_access(), 40),
    ) {
        agree(&set, &accesses)?;
    }
}

#[test]
fn sockets_fold_alike() {
    for family in 0..46 {
        for kind in 0..12 {
            for protocol in 0..300 {
                let socket = Socket { family, kind, protocol };
                assert_eq!(matcher::socket_class(socket), compile::socket_class(socket));
            }
        }
    }
}
