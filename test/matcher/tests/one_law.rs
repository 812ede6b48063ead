//! The three readings agree on generated rules. More comparisons of the same kind: `cargo xtask prove`.

use compile::CompileError;
use matcher::{
    Outcome, compare,
    generate::{OwnedAccess, access, crowded_access, crowded_rule_set, queried_name, rule_set},
};
use proptest::{collection, option, prelude::*};
use ruleset::{Access, AccessObject, FileOperation, RuleSet, Socket, decide};

fn agree(set: &RuleSet, accesses: &[OwnedAccess]) -> Result<(), TestCaseError> {
    match compare(set, accesses) {
        Outcome::Agreed => Ok(()),
        Outcome::Refused(CompileError::PlanTooLong { .. }) => {
            Err(TestCaseError::reject("too long"))
        }
        Outcome::Refused(error) => Err(TestCaseError::fail(error.to_string())),
        Outcome::Disagreed(disagreement) => Err(TestCaseError::fail(disagreement.to_string())),
    }
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

    /// Also that auditing denies nothing, and tells of all that would be denied.
    #[test]
    fn they_agree_on_what_is_only_audited(
        set in rule_set(),
        accesses in collection::vec(access(), 50),
    ) {
        let audited = RuleSet { audited: true, ..set.clone() };
        agree(&audited, &accesses)?;
        for access in &accesses {
            let decided = |set| access.with(|access| decide(set, access));
            let (would, does) = (decided(&set), decided(&audited));
            prop_assert!(does.permitted);
            prop_assert_eq!(does.by, would.by);
            let metadata = access.with(|access| {
                let operation = FileOperation::Metadata;
                matches!(access.object, AccessObject::File { operation: of, .. } if of == operation)
            });
            prop_assert!(would.permitted || metadata || does.alert.is_some());
            prop_assert!(!would.permitted || does == would);
        }
    }

    #[test]
    fn they_agree_where_many_conditions_meet(
        set in crowded_rule_set(),
        accesses in collection::vec(crowded_access(), 40),
    ) {
        agree(&set, &accesses)?;
    }
}

fn query<'a>(subject: Option<&'a [u8]>, name: Option<&'a [u8]>) -> Access<'a> {
    Access { subject, object: AccessObject::Dns(name), terminal: false, owner: false }
}

/// What the C reader finds in a message, next to a plain reader and the oracle.
fn read_alike(
    set: &RuleSet,
    message: &[u8],
    stream: &[&[u8]],
    subject: Option<&[u8]>,
) -> Result<(), TestCaseError> {
    let Ok(image) = compile::compile(set) else { return Err(TestCaseError::reject("too long")) };
    if image.words[compile::layout::at::DNS] == 0 {
        return Ok(());
    }
    let decided = |message: &[u8]| -> Vec<_> {
        let names = matcher::dns::names(message);
        names.iter().map(|name| decide(set, &query(subject, name.as_deref()))).collect()
    };
    if !message.is_empty() {
        let read = matcher::messages(&image, &query(subject, None), message, false);
        prop_assert_eq!(decided(message), read);
    }
    let mut framed = vec![];
    for message in stream {
        framed.extend(u16::try_from(message.len()).unwrap_or(0).to_be_bytes());
        framed.extend(*message);
    }
    let all: Vec<_> =
        stream.iter().filter(|m| !m.is_empty()).flat_map(|message| decided(message)).collect();
    prop_assert_eq!(all, matcher::messages(&image, &query(subject, None), &framed, true));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dns_messages_are_read_to_the_letter(
        set in rule_set(),
        names in collection::vec(option::weighted(0.9, queried_name()), 0..4),
        spoilt in collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in option::of(any::<prop::sample::Index>()),
        garbage in collection::vec(any::<u8>(), 0..80),
        subject in option::of(Just(b"/a".to_vec())),
    ) {
        let names: Vec<_> = names.iter().map(Option::as_deref).collect();
        let whole = matcher::dns::message(&names);
        let mut message = whole.clone();
        for (at, byte) in spoilt {
            *at.get_mut(&mut message[4..]) = byte;
        }
        message.extend(&garbage);
        if let Some(cut) = cut {
            message.truncate(cut.index(message.len()));
        }
        read_alike(&set, &message, &[&message, &whole, &garbage, &whole], subject.as_deref())?;
    }
}

#[test]
fn names_have_the_length_that_dns_allows() {
    let named = |labels: &[usize]| -> Vec<u8> {
        labels.iter().map(|&size| vec![b'x'; size]).collect::<Vec<_>>().join(&b'.')
    };
    let readable = |name: &[u8]| {
        matcher::dns::names(&matcher::dns::message(&[Some(name)])) == [Some(name.to_vec())]
    };
    assert!(readable(&named(&[63, 63, 63, 61])));
    assert!(!readable(&named(&[63, 63, 63, 62])));
    assert!(!readable(&named(&[64])));
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
