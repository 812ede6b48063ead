//! What lint says of shadowed rules, compared with the law on every access of a small world.

use std::collections::BTreeSet;

use lint::{Options, Source, lint};
use policy::parse;
use proptest::{collection, prelude::*, sample};
use ruleset::{Access, AccessObject, DecidedBy, FileOperation, Links, RuleSet, decide, rules_of};

const OBJECTS: [(&str, &str); 14] = [
    ("matchPaths", "path: /a"),
    ("matchPaths", "path: /b/a"),
    ("matchDirectories", "dir: /a/"),
    ("matchDirectories", "dir: /b/"),
    ("matchDirectories", "dir: /b/, recursive: true"),
    ("matchDirectories", "dir: /, recursive: true"),
    ("matchDirectories", "dir: /b/a/, recursive: true"),
    ("matchPatterns", "pattern: '/*'"),
    ("matchPatterns", "pattern: '/**'"),
    ("matchPatterns", "pattern: '/b/*'"),
    ("matchPatterns", "pattern: '/{a,b}/*'"),
    ("matchPatterns", "pattern: '/[ab]'"),
    ("matchPatterns", "pattern: '/b/a*'"),
    ("matchPatterns", "pattern: '/**/a'"),
];
const MODIFIERS: [&str; 6] = [
    "",
    "readOnly: true",
    "ownerOnly: true",
    "pts: false",
    "fromSource: [{path: /bin/x}]",
    "fromSource: [{path: /bin/x}, {path: /bin/y}]",
];
const NAMES: [&str; 4] = ["a", "b", "ab", "other"];

type Written = ((&'static str, &'static str), &'static str, &'static str);

fn rule() -> impl Strategy<Value = Written> {
    (
        sample::select(OBJECTS.to_vec()),
        sample::select(MODIFIERS.to_vec()),
        sample::select(vec!["Allow", "Audit", "Block"]),
    )
}

fn text(rules: &[Written]) -> String {
    let list = |wanted: &str| {
        let rules = rules.iter().filter(|((list, _), ..)| *list == wanted);
        let rules = rules.map(|((_, object), modifier, action)| {
            let modifier =
                if modifier.is_empty() { String::new() } else { format!(", {modifier}") };
            format!("{{{object}, action: {action}{modifier}}}")
        });
        format!("    {wanted}: [{}]\n", rules.collect::<Vec<_>>().join(", "))
    };
    let lists = ["matchPaths", "matchDirectories", "matchPatterns"].map(list).concat();
    format!(
        "apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {{name: p}}\nspec:\n  file:\n{lists}"
    )
}

/// The places of rules that decide, or raise the alert, in no access.
fn dead(set: &RuleSet) -> BTreeSet<String> {
    let mut paths = vec!["/".to_owned()];
    for one in NAMES {
        paths.push(format!("/{one}"));
        for two in NAMES {
            paths.push(format!("/{one}/{two}"));
            paths.extend(NAMES.map(|three| format!("/{one}/{two}/{three}")));
        }
    }
    // A name that is no text is told apart by classes of characters.
    let mut paths: Vec<Vec<u8>> = paths.into_iter().map(String::into_bytes).collect();
    paths.extend([b"/\xff".to_vec(), b"/b/\xff".to_vec(), b"/b/a\xff".to_vec()]);
    let mut dead: BTreeSet<String> =
        set.rules.iter().map(|rule| rule.origin.place.to_string()).collect();
    for path in &paths {
        for subject in [None, Some("/bin/x"), Some("/bin/y")] {
            for (operation, terminal, owner) in conditions() {
                let object = AccessObject::File { path, operation };
                let subject = subject.map(str::as_bytes);
                let decision = decide(set, &Access { subject, object, terminal, owner });
                for by in [decision.by, decision.alert].into_iter().flatten() {
                    if let DecidedBy::Rule(id) = by {
                        dead.remove(&set.rules[id as usize].origin.place.to_string());
                    }
                }
            }
        }
    }
    dead
}

fn conditions() -> impl Iterator<Item = (FileOperation, bool, bool)> {
    [FileOperation::Read, FileOperation::Change].into_iter().flat_map(|operation| {
        [(false, false), (false, true), (true, false), (true, true)]
            .map(|(terminal, owner)| (operation, terminal, owner))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shadowed_are_exactly_the_rules_that_never_decide(rules in collection::vec(rule(), 1..7)) {
        let text = text(&rules);
        let policy = parse(&text, "p").policies.remove(0);
        let rules = rules_of(&policy, &Links::default());
        let rules: BTreeSet<_> = rules.into_iter().collect();
        let set = RuleSet { rules: rules.into_iter().collect(), ..RuleSet::default() };
        let source = Source { name: "p".into(), text: text.clone(), named: true };
        let report = lint(&[source], &Options::default());
        let told = report.findings.iter().filter(|finding| finding.code == "shadowed");
        let told: BTreeSet<String> = told.map(|finding| finding.field.clone()).collect();
        prop_assert_eq!(told, dead(&set), "{}", text);
    }
}
