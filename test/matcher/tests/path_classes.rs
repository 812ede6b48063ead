//! Classes of paths: every path is in one, and the law says of its witness what it says of the path.

use compile::{CompileError, Detail, PathClass, path_classes};
use matcher::generate::{OwnedAccess, OwnedObject, access, rule_set};
use proptest::{collection, prelude::*};
use ruleset::{Access, AccessObject, FileOperation, Object, Rule, RuleId, RuleSet, concerned};

/// What the law finds for a path as an object and as a source.
fn lists(set: &RuleSet, path: &[u8]) -> (Vec<RuleId>, Vec<RuleId>) {
    let names = |id: &RuleId| names_object(set, *id, path);
    let comes_from = |id: &RuleId| names_source(set, *id, path);
    let ids = || set.numbered().map(|(id, _)| id);
    (ids().filter(names).collect(), ids().filter(comes_from).collect())
}

/// The set with all its binaries and one of its rules, changed.
fn only(set: &RuleSet, id: RuleId, change: impl FnOnce(&mut Rule)) -> RuleSet {
    let mut rule = set.rules[id as usize].clone();
    change(&mut rule);
    RuleSet { rules: vec![rule], ..set.clone() }
}

fn names_object(set: &RuleSet, id: RuleId, path: &[u8]) -> bool {
    let any_source = only(set, id, |rule| {
        rule.source = None;
        if let Object::Syscall(watched) = &mut rule.object {
            watched.sources = None;
        }
    });
    let object = match &set.rules[id as usize].object {
        Object::Process(_) => AccessObject::Execute { path: Some(path), args: &[] },
        Object::File(_) => AccessObject::File { path, operation: FileOperation::Read },
        Object::Syscall(watched) => match watched.calls.first() {
            Some(name) => AccessObject::Syscall { name, path: Some(path) },
            None => return false,
        },
        _ => return false,
    };
    let access = Access { subject: None, object, terminal: false, owner: false };
    !concerned(&any_source, &access).is_empty()
}

fn names_source(set: &RuleSet, id: RuleId, path: &[u8]) -> bool {
    let rule = &set.rules[id as usize];
    let (any_object, object) = match &rule.object {
        Object::Syscall(watched) if watched.sources.is_some() => {
            let any_path = only(set, id, |rule| {
                if let Object::Syscall(watched) = &mut rule.object {
                    watched.path = None;
                    watched.calls = ["openat".to_owned()].into();
                }
            });
            (any_path, AccessObject::Syscall { name: "openat", path: None })
        }
        _ if rule.source.is_some() => {
            let of_capability = only(set, id, |rule| rule.object = Object::Capability(0));
            (of_capability, AccessObject::Capability(0))
        }
        _ => return false,
    };
    let access = Access { subject: Some(path), object, terminal: false, owner: false };
    !concerned(&any_object, &access).is_empty()
}

fn is_canonical(path: &[u8]) -> bool {
    path.starts_with(b"/")
        && (path.len() == 1 || !path.ends_with(b"/"))
        && !path.windows(2).any(|pair| pair == b"//")
}

/// A path that a file can have; no class is asked for virtual ones, whose binaries the generator makes up.
fn path_of(access: &OwnedAccess) -> Option<Vec<u8>> {
    let path = match &access.object {
        OwnedObject::Execute { path, .. } => path.clone()?,
        OwnedObject::File { path, .. } => path.clone(),
        _ => return None,
    };
    is_canonical(&path).then_some(path)
}

fn class_of<'c>(classes: &'c [PathClass], set: &RuleSet, path: &[u8]) -> Option<&'c PathClass> {
    let (objects, sources) = lists(set, path);
    classes.iter().find(|class| class.objects[0] == objects && class.sources[0] == sources)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn witnesses_are_as_the_law_says_and_no_path_is_without_a_class(
        set in rule_set(),
        accesses in collection::vec(access(), 40),
    ) {
        let classes = path_classes(&[&set], Detail::All).unwrap();
        for class in &classes {
            prop_assert_eq!((class.objects[0].clone(), class.sources[0].clone()), lists(&set, &class.witness));
            prop_assert!(class.applet || is_canonical(&class.witness));
        }
        for path in accesses.iter().filter_map(path_of) {
            let Some(class) = class_of(&classes, &set, &path) else {
                return Err(TestCaseError::fail(format!("no class for {}", path.escape_ascii())));
            };
            // The shortest witness is the shortest of those that can be printed.
            prop_assert!(class.witness.len() <= path.len() || !path.is_ascii() || path == b"/");
        }
    }

    /// What decides for a path decides for the witness of its class, in both of two rule sets.
    #[test]
    fn deciding_classes_of_two_sets_decide_alike(
        mut one in rule_set(),
        mut two in rule_set(),
        accesses in collection::vec(access(), 40),
    ) {
        one.multicall.clear();
        two.multicall.clear();
        let classes = match path_classes(&[&one, &two], Detail::Deciding) {
            Err(CompileError::TooManyStates { .. }) => return Err(TestCaseError::reject("too many")),
            classes => classes.unwrap(),
        };
        for access in &accesses {
            let Some(path) = path_of(access) else { continue };
            let decided = |path: &[u8]| {
                [&one, &two].map(|set| {
                    let object = AccessObject::File { path, operation: FileOperation::Read };
                    let OwnedAccess { terminal, owner, .. } = *access;
                    ruleset::decide(set, &Access { subject: None, object, terminal, owner })
                })
            };
            prop_assert!(classes.iter().any(|class| decided(&class.witness) == decided(&path)));
        }
    }
}
