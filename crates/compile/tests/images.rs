//! Sizes, limits and errors of images. What images decide is compared with the oracle in `test/matcher`.

use std::collections::BTreeSet;

use compile::{CompileError, compile, interpret, layout::at};
use policy::{Action, Kind, PathObject, Place};
use proptest::prelude::*;
use ruleset::{
    Access, AccessObject, FileOperation, Object, Origin, PathSet, Rule, RuleSet, SyscallObject,
    Tier, decide,
};

const BUDGET: usize = 4 << 20;

fn rule(number: usize, object: Object) -> Rule {
    Rule {
        tier: Tier::Namespaced,
        action: Action::Block,
        object,
        source: None,
        read_only: false,
        owner_only: false,
        terminal_only: false,
        allowed_args: None,
        origin: Origin {
            kind: Kind::Container,
            namespace: Some("default".into()),
            policy: format!("policy-{number}"),
            place: Place("spec.file.matchPaths[0]".into()),
            severity: None,
            tags: vec![],
            message: String::new(),
        },
    }
}

fn file(number: usize, named: PathObject) -> Rule {
    rule(number, Object::File(PathSet { named, linked: BTreeSet::new() }))
}

fn exact_rules(count: usize) -> impl Iterator<Item = Rule> {
    let directory = |n: usize| ["etc", "srv/data", "usr/lib/python3", "var/log/nginx"][n % 4];
    (0..count).map(move |n| file(n, PathObject::Path(format!("/{}/entry-{n}.conf", directory(n)))))
}

fn set_of(rules: impl IntoIterator<Item = Rule>) -> RuleSet {
    RuleSet { rules: rules.into_iter().collect(), ..RuleSet::default() }
}

/// Without the image, which nobody wants to see printed.
fn refused(set: &RuleSet) -> Option<CompileError> {
    compile(set).err()
}

/// In bytes.
fn size(set: &RuleSet) -> usize {
    compile(set).map_or(usize::MAX, |image| image.words.len() * size_of::<u32>())
}

#[test]
fn a_thousand_rules_with_a_hundred_patterns_fit_the_budget() {
    let tails = ["*.pem", "**/key?.txt", "[a-f]*", "*/log/*.{log,txt}", "**.bak", "c*/[^a]*.d/**"];
    let pattern = |n: usize| PathObject::Pattern(format!("/srv/app-{n}/{}", tails[n % 6]));
    let patterns = (0..100).map(|n| file(2_000 + n, pattern(n)));
    let set = set_of(exact_rules(900).chain(patterns));
    assert!(size(&set) <= BUDGET);
    let anywhere = (0..100).map(|n| file(n, PathObject::Pattern(format!("/**/name-{n}*"))));
    assert!(size(&set_of(exact_rules(900).chain(anywhere))) <= BUDGET);
}

/// A path that bears several of the names need only remember which of them decides.
#[test]
fn patterns_for_a_part_of_a_name_do_not_multiply() {
    let pattern = |n: usize| PathObject::Pattern(format!("/**/*n{n}*"));
    let anywhere = (0..100).map(|n| file(n, pattern(n)));
    assert!(size(&set_of(exact_rules(900).chain(anywhere))) <= BUDGET);
}

/// One piece of a pattern, and one of a path.
fn pieces() -> (impl Strategy<Value = String>, impl Strategy<Value = String>) {
    let of_pattern = ["*", "*a", "b*", "**", "/", "/**/", "?", "[^a]", "{a,*b}"];
    (
        prop::collection::vec(prop::sample::select(of_pattern.to_vec()), 1..6)
            .prop_map(|pieces| format!("/{}", pieces.concat())),
        prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "/"]), 0..9)
            .prop_map(|pieces| format!("/{}", pieces.concat())),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is forgotten on the way never mattered.
    #[test]
    fn patterns_that_overlap_decide_as_the_law_says(
        patterns in prop::collection::vec((pieces().0, 0..3_usize, any::<bool>()), 1..9),
        paths in prop::collection::vec(pieces().1, 60),
    ) {
        let action = |n: usize| [Action::Block, Action::Allow, Action::Audit][n];
        let rules = patterns.into_iter().enumerate().map(|(n, (text, acts, owned))| Rule {
            action: action(acts),
            owner_only: owned,
            ..file(n, PathObject::Pattern(text))
        });
        let set = set_of(rules);
        let image = compile(&set).unwrap();
        for path in &paths {
            let object = AccessObject::File { path: path.as_bytes(), operation: FileOperation::Read };
            let access = Access { subject: Some(b"/bin/cat"), object, terminal: false, owner: false };
            prop_assert_eq!(interpret(&image.words, &access), decide(&set, &access), "{}", path);
        }
    }
}

/// Where rules name everything letter by letter, a rule takes little more than its names.
#[test]
fn a_rule_takes_no_more_than_its_names() {
    let size = |count: usize| size(&set_of(exact_rules(count)));
    assert!(size(10_000) <= 10_000 * 128, "{}", size(10_000));
}

#[test]
fn ten_thousand_exact_rules_fit() {
    assert!(size(&set_of(exact_rules(10_000))) <= 4 * BUDGET);
}

/// Each of them may hold for the rest of the path, but only the first of them decides.
#[test]
fn patterns_open_at_both_ends_do_not_multiply() {
    let pattern = |n: usize| PathObject::Pattern(format!("/**/.secret-{n}/**"));
    assert!(size(&set_of((0..40).map(|n| file(n, pattern(n))))) <= BUDGET);
}

#[test]
fn compiling_twice_gives_the_same_words() {
    let set = set_of(exact_rules(50));
    let image = compile(&set).unwrap();
    assert!(image == compile(&set).unwrap());
    assert_eq!(image.words[at::WORDS] as usize, image.words.len());
}

#[test]
fn the_empty_rule_set_permits_in_silence() {
    let image = compile(&RuleSet::default()).unwrap();
    let object = AccessObject::File { path: b"/etc/passwd", operation: FileOperation::Read };
    let access = Access { subject: Some(b"/bin/cat"), object, terminal: false, owner: false };
    assert_eq!(interpret(&image.words, &access), decide(&RuleSet::default(), &access));
}

#[test]
fn a_hopeless_mixture_of_patterns_is_refused_by_name() {
    let pattern = |n: usize| PathObject::Pattern(format!("/**/n{n}/**.k{n}"));
    let error = refused(&set_of((0..60).map(|n| file(n, pattern(n))))).unwrap();
    assert!(matches!(error, CompileError::TooLarge { .. }));
    assert!(error.to_string().contains("KubeArmorPolicy policy-"), "{error}");
}

#[test]
fn a_broken_pattern_is_refused_with_its_place() {
    let error = refused(&set_of([file(7, PathObject::Pattern("/a[b".into()))])).unwrap();
    assert_eq!(
        error.to_string(),
        "KubeArmorPolicy policy-7 in default, spec.file.matchPaths[0]: \
         the pattern `/a[b` cannot be read"
    );
}

#[test]
fn too_many_arguments_are_refused() {
    let named = PathObject::Path("/bin/x".into());
    let object = Object::Process(PathSet { named, linked: BTreeSet::new() });
    let allowed = (0..1_024).map(|n| format!("--option-{n}")).collect();
    let rule = Rule { allowed_args: Some(allowed), ..rule(0, object) };
    let error = refused(&set_of([rule])).unwrap();
    assert!(matches!(error, CompileError::TooManyArguments { limit: 1_023, .. }));
}

#[test]
fn long_lists_of_domains_fit() {
    let domain = |n: usize| format!("ads-{n}.network-{}.example", n % 700);
    let set = set_of((0..3_000).map(|n| rule(n, Object::Dns(domain(n)))));
    let image = compile(&set).unwrap();
    assert!(image.words.len() * size_of::<u32>() <= 4 * BUDGET);
    let asked = |name: &'static str| {
        let object = AccessObject::Dns(Some(name.as_bytes()));
        let access = Access { subject: None, object, terminal: false, owner: false };
        assert_eq!(interpret(&image.words, &access), decide(&set, &access));
        interpret(&image.words, &access).permitted
    };
    assert!(!asked("x.ADS-2999.network-199.example"));
    assert!(asked("ads-2999.network-198.example"));
    assert!(asked("network-199.example"));
}

/// What is audited on one path says nothing of other calls on it, nor of files.
#[test]
fn paths_of_system_calls_are_told_apart_by_the_call() {
    let below = |dir: &str| PathSet {
        named: PathObject::Directory { dir: dir.into(), recursive: true },
        linked: BTreeSet::new(),
    };
    let watch = |number, call: &str, dir: &str| {
        let calls = BTreeSet::from([call.to_owned()]);
        let watched = SyscallObject { calls, path: Some(below(dir)), sources: None };
        Rule { action: Action::Audit, ..rule(number, Object::Syscall(watched)) }
    };
    let set = set_of([
        watch(0, "unlink", "/srv/"),
        watch(1, "rmdir", "/srv/box/"),
        file(2, PathObject::Path("/srv/box/x".into())),
    ]);
    let image = compile(&set).unwrap();
    for (name, path) in [("unlink", "/srv/box/x"), ("rmdir", "/srv/box/x"), ("rmdir", "/srv/x")] {
        let object = AccessObject::Syscall { name, path: Some(path.as_bytes()) };
        let access = Access { subject: None, object, terminal: false, owner: false };
        assert_eq!(interpret(&image.words, &access), decide(&set, &access), "{name} {path}");
    }
    let object = AccessObject::File { path: b"/srv/box/x", operation: FileOperation::Read };
    let access = Access { subject: None, object, terminal: false, owner: false };
    assert!(!interpret(&image.words, &access).permitted);
}
