//! Sizes, limits and errors of images. What images decide is compared with the oracle in `test/matcher`.

use std::collections::BTreeSet;

use compile::{CompileError, compile, interpret, layout::at};
use policy::{Action, Kind, PathObject, Place};
use ruleset::{
    Access, AccessObject, FileOperation, Object, Origin, PathSet, Rule, RuleSet, Tier, decide,
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
fn dns_rules_are_reported_as_not_expressed() {
    let rules = [rule(0, Object::Dns("example.com".into()))];
    assert_eq!(compile(&set_of(rules)).unwrap().not_expressed, [0]);
}
