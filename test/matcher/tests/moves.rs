//! A rename or a link that the compiled rules permit undoes none of their denials.

use compile::{CompileError, Image, interpret_move, layout::RULE_NONE};
use matcher::{
    generate::{accessed_path, rule_set},
    judge_move,
};
use proptest::{collection, prelude::*};
use ruleset::{
    Access, AccessObject, Class, DecidedBy, FileOperation, RuleSet, decide, split_applet,
};

const SUBJECTS: [Option<&[u8]>; 5] =
    [None, Some(b"/a"), Some(b"/a/b"), Some(b"/ab//zz"), Some(b"/elsewhere")];

/// Whether the subject is refused something on a path that a move could undo.
fn denied(
    set: &RuleSet,
    path: &[u8],
    access: impl Fn(AccessObject<'_>) -> Access<'_>,
) -> [bool; 3] {
    let on_file = |operation| {
        let access = access(AccessObject::File { path, operation });
        !decide(set, &access).permitted
    };
    // As elsewhere: by no rule, it would be refused under any other name.
    let execution = access(AccessObject::Execute { path: Some(path), args: &[b"-a"] });
    let execution = decide(set, &execution);
    let by_rule = execution.by != Some(DecidedBy::Posture(Class::Process));
    [!execution.permitted && by_rule, on_file(FileOperation::Read), on_file(FileOperation::Change)]
}

fn stays_denied(set: &RuleSet, from: &[u8], to: &[u8]) -> Result<(), TestCaseError> {
    for subject in SUBJECTS {
        for (terminal, owner) in [(false, false), (false, true), (true, false), (true, true)] {
            let ask =
                |path| denied(set, path, |object| Access { subject, object, terminal, owner });
            let (old, new) = (ask(from), ask(to));
            let undone = old.into_iter().zip(new).any(|(old, new)| old && !new);
            prop_assert!(
                !undone,
                "{from:?} to {to:?} for {subject:?}: {old:?}, {new:?} under {set:#?}"
            );
        }
    }
    Ok(())
}

fn both(image: &Image, from: &[u8], to: &[u8], directory: bool) -> Result<u32, TestCaseError> {
    let rule = interpret_move(&image.words, from, to, directory);
    prop_assert_eq!(rule, judge_move(image, from, to, directory));
    Ok(rule)
}

/// What the compiled rules permit is held against the law, for all that may be below.
fn no_move_undoes(
    set: &RuleSet,
    image: &Image,
    [from, to]: [&[u8]; 2],
    below: &[Vec<u8>],
) -> Result<(), TestCaseError> {
    prop_assert_eq!(both(image, from, from, true)?, RULE_NONE);
    if both(image, from, to, false)? == RULE_NONE {
        stays_denied(set, from, to)?;
        let binary = str::from_utf8(from).is_ok_and(|from| set.multicall.contains(from));
        for applet in below.iter().filter(|_| binary) {
            let program = |path: &[u8]| [path, b"/", applet].concat();
            if split_applet(&program(from), &set.multicall).is_some() {
                stays_denied(set, &program(from), &program(to))?;
            }
        }
    }
    if both(image, from, to, true)? == RULE_NONE {
        for rest in below {
            stays_denied(set, &[from, rest].concat(), &[to, rest].concat())?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_permitted_undoes_no_denial(
        set in rule_set(),
        moves in collection::vec((accessed_path(), accessed_path()), 20),
        below in collection::vec(accessed_path(), 12),
    ) {
        let image = match compile::compile(&set) {
            Err(CompileError::PlanTooLong { .. }) => return Err(TestCaseError::reject("too long")),
            image => image.map_err(|error| TestCaseError::fail(error.to_string()))?,
        };
        for (from, to) in &moves {
            if from != b"/" && to != b"/" {
                no_move_undoes(&set, &image, [from, to], &below)?;
            }
        }
    }
}
