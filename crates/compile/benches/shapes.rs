//! How long rule sets take to become images, and how large these are: `cargo bench -p compile`. Beside what
//! was measured stands what it may take; nothing is judged, for that depends on the machine.
//!
//! With `-- --once NAME` it compiles those whose names contain it, once each: for a profiler that counts instructions.

use std::{collections::BTreeSet, hint::black_box, time::Instant};

use compile::compile;
use policy::{Action, Kind, PathObject, Place};
use ruleset::{Object, Origin, PathSet, Rule, RuleSet, Tier};

const ROUNDS: usize = 9;

fn main() {
    println!("{:<44} {:>9} {:>9} {:>10}  budget", "rule set", "median", "best", "image");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let once = arguments.iter().any(|argument| argument == "--once");
    let named = arguments.iter().find(|argument| !argument.starts_with("--"));
    for (name, set) in shapes() {
        if named.is_none_or(|part| name.contains(part.as_str())) {
            show(name, &set, if once { 1 } else { ROUNDS });
        }
    }
}

/// What rule sets of a kind may take, by the beginnings of their names.
const BUDGETS: [(&str, &str); 2] =
    [("900 paths, 100 ", "50 ms, 4 MiB"), ("10,000 paths", "500 ms")];

fn budget(name: &str) -> &'static str {
    let found = BUDGETS.iter().find(|(kind, _)| name.starts_with(kind));
    found.map_or("-", |(_, budget)| budget)
}

fn shapes() -> Vec<(&'static str, RuleSet)> {
    let tails = ["*.pem", "**/key?.txt", "[a-f]*", "*/log/*.{log,txt}", "**.bak", "c*/[^a]*.d/**"];
    let below = |n: usize| pattern(2_000 + n, format!("/srv/app-{n}/{}", tails[n % 6]));
    let anywhere = |n: usize| pattern(n, format!("/**/name-{n}*"));
    let short = |n: usize| pattern(n, format!("/**/n{n}*"));
    let contains = |n: usize| pattern(n, format!("/**/*n{n}*"));
    let entries = |n: usize| pattern(n, format!("/**/d{n}/*"));
    let both_ends = |n: usize| pattern(n, format!("/**/.secret-{n}/**"));
    let suffix = |n: usize| pattern(n, format!("/**/*.ext{n}"));
    let hopeless = |n: usize| pattern(n, format!("/**/n{n}/**.k{n}"));
    let long = |n: usize| {
        let text: Vec<String> = (0..1_300).map(|n| format!("{:x}/", n % 97)).collect();
        format!("/**/{n}{}", text.concat())
    };
    let sourced = |n: usize| Rule {
        source: Some(BTreeSet::from([format!("/usr/bin/program-{n}")])),
        ..rule(n, PathObject::Path(format!("/srv/file-{n}")))
    };
    let alone = |n: usize| pattern(n, format!("/**/*a{}", "?".repeat(24 + n)));
    vec![
        (
            "900 paths, 100 patterns below directories",
            set_of(paths(900).chain((0..100).map(below))),
        ),
        ("900 paths, 100 of /**/name-N*", set_of(paths(900).chain((0..100).map(anywhere)))),
        ("900 paths, 100 of /**/nN*", set_of(paths(900).chain((0..100).map(short)))),
        ("900 paths, 100 of /**/*.extN", set_of(paths(900).chain((0..100).map(suffix)))),
        ("900 paths, 100 of /**/*nN*", set_of(paths(900).chain((0..100).map(contains)))),
        ("900 paths, 100 of /**/dN/*", set_of(paths(900).chain((0..100).map(entries)))),
        ("40 of /**/.secret-N/**", set_of((0..40).map(both_ends))),
        ("10,000 paths", set_of(paths(10_000))),
        ("10,000 paths with unlike names", set_of(unlike(10_000))),
        ("1,000 paths with unlike names", set_of(unlike(1_000))),
        ("refused: 60 of /**/nN/**.kN", set_of((0..60).map(hopeless))),
        ("refused: one *a followed by 24 ?", set_of((0..1).map(alone))),
        ("/**/ and 4,000 characters", set_of([pattern(0, long(0))])),
        ("10 of /**/ and 4,000 characters", set_of((0..10).map(|n| pattern(n, long(n))))),
        ("1,000 paths, each for one program", set_of((0..1_000).map(sourced))),
        ("refused: 10,000 paths, each for one program", set_of((0..10_000).map(sourced))),
    ]
}

fn show(name: &str, set: &RuleSet, rounds: usize) {
    let mut times = Vec::new();
    let mut outcome = String::new();
    for _ in 0..rounds {
        let since = Instant::now();
        let image = black_box(compile(black_box(set)));
        times.push(since.elapsed());
        outcome = match image {
            Ok(image) => format!("{} KiB", image.words.len() * 4 / 1024),
            Err(_) => "none".to_owned(),
        };
    }
    times.sort();
    let milliseconds = |at: usize| times[at].as_secs_f64() * 1e3;
    let (median, best) = (milliseconds(rounds / 2), milliseconds(0));
    let budget = budget(name);
    println!("{name:<44} {median:>6.1} ms {best:>6.1} ms {outcome:>10}  {budget}");
}

fn set_of(rules: impl IntoIterator<Item = Rule>) -> RuleSet {
    RuleSet { rules: rules.into_iter().collect(), ..RuleSet::default() }
}

fn pattern(number: usize, text: String) -> Rule {
    rule(number, PathObject::Pattern(text))
}

fn paths(count: usize) -> impl Iterator<Item = Rule> {
    let directory = |n: usize| ["etc", "srv/data", "usr/lib/python3", "var/log/nginx"][n % 4];
    (0..count).map(move |n| rule(n, PathObject::Path(format!("/{}/entry-{n}.conf", directory(n)))))
}

/// Names that have nothing in common, as those of container layers or objects of a store.
fn unlike(count: usize) -> impl Iterator<Item = Rule> {
    let mix = |n: usize| (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..count).map(move |n| rule(n, PathObject::Path(format!("/srv/store/{:016x}", mix(n)))))
}

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
            place: Place("spec.file.matchPaths[0]".into()),
            severity: None,
            tags: vec![],
            message: String::new(),
        },
    }
}
