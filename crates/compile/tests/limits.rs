//! Rule sets that would explode: refused by name, and before much was spent. Nothing here is a matter of time: what
//! was looked at is counted.

use std::collections::BTreeSet;

use compile::{
    CompileError, compile, diff,
    limits::{
        COMBINATIONS, COMBINED_STATES, Effort, IMAGE_WORDS, LITERAL_BYTES, PATTERN_REACH,
        PATTERN_STATES, PRODUCT_STATES, TRANSITIONS,
    },
};
use policy::{Action, Kind, PathObject, Place};
use proptest::prelude::*;
use ruleset::{Object, Origin, PathSet, Rule, RuleSet, Tier};

fn rule(number: usize, named: PathObject) -> Rule {
    Rule {
        tier: Tier::Namespaced,
        action: Action::Block,
        object: Object::File(PathSet { named, linked: BTreeSet::new() }),
        source: None,
        read_only: false,
        owner_only: false,
        terminal_only: false,
        allowed_args: None,
        origin: Origin {
            kind: Kind::Container,
            namespace: Some("default".into()),
            policy: format!("policy-{number}"),
            place: Place("spec.file.matchPatterns[0]".into()),
            severity: None,
            tags: vec![],
            message: String::new(),
        },
    }
}

fn patterns(texts: impl IntoIterator<Item = String>) -> RuleSet {
    let rule = |(number, text)| rule(number, PathObject::Pattern(text));
    RuleSet { rules: texts.into_iter().enumerate().map(rule).collect(), ..RuleSet::default() }
}

/// A step goes on until it has looked at every byte class, and a pattern is taken in as a whole.
fn assert_bounded(effort: &Effort) {
    let Effort { literal_bytes, pattern_states, pattern_reach, .. } = *effort;
    let Effort { combinations, combined_states, transitions, words, .. } = *effort;
    assert!(literal_bytes <= LITERAL_BYTES + 4_096, "{effort:?}");
    assert!(pattern_states <= PATTERN_STATES + 4_096 * 32, "{effort:?}");
    assert!(pattern_reach <= PATTERN_REACH + PATTERN_STATES, "{effort:?}");
    assert!(combinations <= COMBINATIONS + 256, "{effort:?}");
    assert!(combined_states <= COMBINED_STATES + 256 * 4_096 * 4, "{effort:?}");
    assert!(transitions <= TRANSITIONS + 256 * 256, "{effort:?}");
    assert!(words <= IMAGE_WORDS + TRANSITIONS, "{effort:?}");
}

/// The message, if the set is too large; `None` if it has an image.
fn refusal(set: &RuleSet) -> Option<String> {
    match compile(set) {
        Ok(image) => {
            assert!(image.words.len() <= IMAGE_WORDS);
            None
        }
        Err(error) => {
            let CompileError::TooLarge { effort, .. } = &error else { panic!("{error}") };
            assert_bounded(effort);
            Some(error.to_string())
        }
    }
}

fn assert_refused(set: &RuleSet, parts: &[&str]) {
    let Some(message) = refusal(set) else { panic!("it has an image") };
    for part in parts {
        assert!(message.contains(part), "no `{part}` in {message}");
    }
}

#[test]
fn a_pattern_that_explodes_alone_is_named() {
    let text = format!("/**/*a{}", "?".repeat(30));
    assert_refused(
        &patterns([text.clone()]),
        &[
            "combinations",
            &format!("`{text}` of KubeArmorPolicy policy-0 in default, spec.file.match"),
        ],
    );
}

#[test]
fn the_guilty_pattern_is_found_among_innocent_ones() {
    let guilty = format!("/srv/**/*ab{}", "?".repeat(24));
    let innocent = (0..100).map(|n| format!("/**/name-{n}/*.conf"));
    let set = patterns(innocent.chain([guilty.clone()]));
    assert_refused(&set, &[&format!("due to `{guilty}` of KubeArmorPolicy policy-100 ")]);
}

#[test]
fn patterns_that_explode_together_are_named_together() {
    let set = patterns((0..60).map(|n| format!("/**/n{n}/**.k{n}")));
    assert_refused(&set, &["KubeArmorPolicy policy-", "together with"]);
    let set = patterns((0..40).map(|n| format!("/**/*a{n}*b{n}*/*")));
    assert_refused(&set, &["KubeArmorPolicy policy-", "together with"]);
    let set = patterns((0..200).map(|n| format!("/**a{n}**b{n}**")));
    assert_refused(&set, &["KubeArmorPolicy policy-"]);
}

#[test]
fn chains_of_negated_classes() {
    let chain = |n: usize, length: usize| format!("/{n}{}", "[^a]*b".repeat(length));
    assert_eq!(refusal(&patterns((0..20).map(|n| chain(n, 3)))), None);
    assert_refused(
        &patterns((0..20).map(|n| chain(n, 20))),
        &["KubeArmorPolicy policy-", "together with"],
    );
    assert_refused(&patterns((0..400).map(|n| chain(n, 600))), &["KubeArmorPolicy policy-"]);
}

#[test]
fn chains_and_nests_of_alternatives() {
    assert_eq!(refusal(&patterns([format!("/{}", "{a,b}".repeat(800))])), None);
    let empty = format!("/{}", "{,a}".repeat(1_000));
    assert_refused(&patterns([empty]), &["ways through empty", "KubeArmorPolicy policy-0 "]);
    let nested = (0..32).fold("x".to_owned(), |inner, n| format!("{{{n},*{inner}}}"));
    assert_eq!(refusal(&patterns([format!("/{nested}")])), None);
    let message = refusal(&patterns([format!("/{}", format!("**{nested}").repeat(18))]));
    assert!(message.is_none_or(|message| message.contains("KubeArmorPolicy policy-0 ")));
}

#[test]
fn many_long_patterns() {
    assert_eq!(refusal(&patterns([format!("/{}", "?".repeat(200))])), None);
    let long = (0..40).map(|n| format!("/{n}{}", "?".repeat(4_000)));
    assert_refused(&patterns(long), &["states of patterns", "KubeArmorPolicy policy-"]);
}

#[test]
fn a_long_text_anywhere() {
    let text: Vec<String> = (0..1_300).map(|n| format!("{:x}/", n % 97)).collect();
    let text = text.concat();
    assert_eq!(refusal(&patterns([format!("/**/{text}")])), None);
    let texts = (0..40).map(|n| format!("/**/{n}{text}"));
    assert_refused(&patterns(texts), &["KubeArmorPolicy policy-"]);
}

#[test]
fn many_long_paths_are_blamed_on_the_policy_with_most_of_them() {
    let path = |n: usize| format!("/{n:04}/{}", format!("{n:x}/d").repeat(800));
    let many = (0..600).map(|n| Rule {
        origin: Origin {
            policy: "greedy".into(),
            ..rule(0, PathObject::Path(String::new())).origin
        },
        ..rule(n, PathObject::Path(path(n)))
    });
    let few = (600..620).map(|n| rule(n, PathObject::Path(path(n))));
    let set = RuleSet { rules: few.chain(many).collect(), ..RuleSet::default() };
    assert_refused(&set, &["bytes of paths in 600 rules of KubeArmorPolicy greedy in default"]);
}

#[test]
fn many_sources_of_many_objects() {
    let sourced = |n: usize| Rule {
        source: Some(BTreeSet::from([format!("/usr/bin/program-{n}")])),
        ..rule(n, PathObject::Path(format!("/srv/file-{n}")))
    };
    let set = |count| RuleSet { rules: (0..count).map(sourced).collect(), ..RuleSet::default() };
    assert_eq!(refusal(&set(1_000)), None);
    assert_refused(&set(10_000), &["different fromSource", "KubeArmorPolicy policy-9999 "]);
}

/// Pieces of which patterns are made that are hard on automata.
fn piece() -> impl Strategy<Value = String> {
    let plain = ["a", "b", "/", "*", "**", "?", "/**/", "[^a]*", "[a-c]", "*a*b", "é", ".k"];
    prop_oneof![
        4 => prop::sample::select(plain.to_vec()).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["{,a}", "{a,b*}", "{**,/a}", "{{a,?},{,b}}"]).prop_map(str::to_owned),
        1 => (0_usize..30).prop_map(|n| "?".repeat(n)),
        1 => (0_usize..40).prop_map(|n| "{,*a}".repeat(n)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mixture_passes_its_limits_and_every_refusal_names_a_rule(
        texts in prop::collection::vec(prop::collection::vec(piece(), 1..12), 1..40),
    ) {
        let set = patterns(texts.into_iter().map(|pieces| format!("/{}", pieces.concat())));
        if let Some(message) = refusal(&set) {
            prop_assert!(message.contains("` of KubeArmorPolicy policy-"), "{}", message);
        }
    }
}

#[test]
fn sets_that_fit_alone_may_be_too_much_to_compare() {
    // Of each of the last characters one has to know whether it is an `a`, or a `c`.
    let set = |letter: char| {
        let rest = "[abcd]".repeat(13);
        patterns([format!("/**{letter}{rest}")])
    };
    let (one, two) = (set('a'), set('c'));
    assert_eq!((refusal(&one), refusal(&two)), (None, None));
    let error = diff(&one, &two, |old, new| old == new).unwrap_err();
    assert!(matches!(error, CompileError::TooManyStates { limit: PRODUCT_STATES }), "{error}");
    assert!(error.to_string().contains("look at fewer policies at once"), "{error}");
}
