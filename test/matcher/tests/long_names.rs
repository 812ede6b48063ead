//! Names around the sizes of the words and pieces in which they are looked up, in directories whose names rules spell
//! out, in those where patterns begin, and in both.

use std::collections::BTreeSet;

use compile::{compile, interpret};
use policy::{Action, Kind, PathObject, Place};
use proptest::prelude::*;
use ruleset::{
    Access, AccessObject, FileOperation, Object, Origin, PathSet, Rule, RuleSet, Tier, decide,
};

const SIZES: [usize; 19] =
    [1, 7, 8, 9, 15, 16, 17, 24, 25, 31, 32, 33, 40, 63, 64, 65, 96, 100, 255];

fn rule(number: usize, object: PathObject, action: Action) -> Rule {
    Rule {
        tier: Tier::Namespaced,
        action,
        object: Object::File(PathSet { named: object, linked: BTreeSet::new() }),
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

fn path() -> impl Strategy<Value = String> {
    let size = prop::sample::select(SIZES.to_vec());
    let (letter, end) =
        (prop::sample::select(vec!["a", "b"]), prop::sample::select(vec!["", "x", "y"]));
    let name = (size, letter, end).prop_map(|(size, letter, end)| letter.repeat(size) + end);
    prop::collection::vec(name, 1..4).prop_map(|names| format!("/{}", names.join("/")))
}

fn object() -> impl Strategy<Value = PathObject> {
    (path(), 0..9_usize).prop_map(|(path, kind)| match kind {
        0 | 1 => PathObject::Directory { dir: format!("{path}/"), recursive: kind == 0 },
        2 => PathObject::Pattern(format!("{path}*b/?x")),
        3 => PathObject::Pattern(format!("{path}[xy]")),
        _ => PathObject::Path(path),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn names_of_any_length_are_told_apart(
        objects in prop::collection::vec((object(), 0..3_usize), 1..30),
        paths in prop::collection::vec(path(), 40),
    ) {
        let named = objects.iter().map(|(object, _)| match object {
            PathObject::Path(text) | PathObject::Pattern(text) | PathObject::ExecName(text) => text,
            PathObject::Directory { dir, .. } => dir,
        });
        let near: Vec<String> = named
            .map(|text| text.trim_end_matches('/').replace("*b/?", "").replace("[xy]", ""))
            .flat_map(|path| ["", "x", "/b", "b", "b/yx", "/x/y"].map(|end| format!("{path}{end}")))
            .collect();
        let action = |n: usize| [Action::Block, Action::Allow, Action::Audit][n];
        let rules = objects.into_iter().enumerate();
        let rules = rules.map(|(n, (object, acts))| rule(n, object, action(acts))).collect();
        let set = RuleSet { rules, ..RuleSet::default() };
        let image = compile(&set).unwrap();
        for path in near.iter().chain(&paths) {
            let object = AccessObject::File { path: path.as_bytes(), operation: FileOperation::Change };
            let access = Access { subject: Some(b"/bin/cat"), object, terminal: false, owner: false };
            let law = decide(&set, &access);
            prop_assert_eq!(&interpret(&image.words, &access), &law, "{}", path);
            prop_assert_eq!(&matcher::decide(&image, &access), &law, "{}", path);
        }
    }
}
