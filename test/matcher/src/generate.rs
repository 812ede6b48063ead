//! Rule sets and accesses over an alphabet so small that rules collide.

use std::collections::BTreeSet;

use policy::{Action, Kind, PathObject, Place, Preset, Protocol};
use proptest::{collection, option, prelude::*, sample};
use ruleset::{
    FileOperation, Object, Origin, PathSet, Posture, Postures, Rule, RuleSet, Socket,
    SyscallObject, Tier,
};
pub use ruleset::{OwnedAccess, OwnedObject};

const NAMES: [&str; 6] = ["a", "b", "ab", "é", "*", "abc"];
const APPLETS: [&str; 4] = ["a", "ab", "zz", "é"];
const BINARIES: [&str; 3] = ["/a/b", "/ab", "/é"];
const ARGUMENTS: [&str; 4] = ["-a", "-b", "-ab", ""];
const PIECES: [&str; 16] = [
    "/", "/", "a", "b", "é", "*", "**", "?", "[ab]", "[^a]", "{a,b}", "{,/b}", r"\*", "[a-é]",
    "/a", "{*b,a?}",
];
/// `SYS_ADMIN` and `SYS_BOOT`, which the kernel checks before anything else of some system calls, and the last one.
const CAPABILITIES: [u8; 3] = [21, 22, 40];
const LABELS: [&str; 5] = ["a", "b", "ab", "a-b", "é"];
const CALLS: [&str; 3] = ["openat", "unlink", "keyctl"];

pub fn rule_set() -> impl Strategy<Value = RuleSet> {
    let binaries = sample::subsequence(BINARIES.to_vec(), 0..=BINARIES.len());
    (collection::vec(rule(object(), 4, 0.3), 0..20), postures(), binaries).prop_map(
        |(rules, postures, binaries)| {
            let rules: BTreeSet<Rule> = rules.into_iter().collect();
            RuleSet {
                rules: rules.into_iter().collect(),
                postures,
                multicall: binaries.into_iter().map(str::to_owned).collect(),
                ..RuleSet::default()
            }
        },
    )
}

pub fn access() -> impl Strategy<Value = OwnedAccess> {
    let object = prop_oneof![
        4 => (option::weighted(0.9, executable()), collection::vec(argument(), 0..4))
            .prop_map(|(path, args)| OwnedObject::Execute { path, args }),
        4 => (accessed_path(), operation())
            .prop_map(|(path, operation)| OwnedObject::File { path, operation }),
        1 => socket().prop_map(OwnedObject::Socket),
        1 => sample::select(CAPABILITIES.to_vec()).prop_map(OwnedObject::Capability),
        1 => sample::select(Preset::ALL.to_vec()).prop_map(OwnedObject::Preset),
        3 => option::weighted(0.9, queried_name()).prop_map(OwnedObject::Dns),
        2 => (sample::select(CALLS.to_vec()), option::of(accessed_path()))
            .prop_map(|(name, path)| OwnedObject::Syscall { name: name.to_owned(), path }),
    ];
    (option::weighted(0.9, executable()), object, any::<bool>(), any::<bool>()).prop_map(
        |(subject, object, terminal, owner)| OwnedAccess { subject, object, terminal, owner },
    )
}

/// Many rules with many modifiers on a single program, so that their conditions have to be untangled.
pub fn crowded_rule_set() -> impl Strategy<Value = RuleSet> {
    let program = || {
        let named = PathObject::Path("/a".to_owned());
        Just(Object::Process(PathSet { named, linked: BTreeSet::new() }))
    };
    (collection::btree_set(rule(program(), 1, 0.6), 1..7), postures()).prop_map(
        |(rules, postures)| RuleSet {
            rules: rules.into_iter().map(|rule| Rule { source: None, ..rule }).collect(),
            postures,
            ..RuleSet::default()
        },
    )
}

/// Executions of the program of [`crowded_rule_set`].
pub fn crowded_access() -> impl Strategy<Value = OwnedAccess> {
    (collection::vec(argument(), 0..4), any::<bool>(), any::<bool>()).prop_map(
        |(args, terminal, owner)| {
            let object = OwnedObject::Execute { path: Some(b"/a".to_vec()), args };
            OwnedAccess { subject: None, object, terminal, owner }
        },
    )
}

/// One of `rarity` rules has modifiers; those that have may have all of them.
fn rule(
    object: impl Strategy<Value = Object>,
    rarity: u8,
    with_arguments: f64,
) -> impl Strategy<Value = Rule> {
    let modifiers = (
        any::<u8>(),
        option::weighted(
            with_arguments,
            collection::btree_set(sample::select(ARGUMENTS.to_vec()).prop_map(str::to_owned), 0..3),
        ),
    );
    let tier = prop_oneof![Just(Tier::Cluster), Just(Tier::Namespaced)];
    let action = prop_oneof![Just(Action::Allow), Just(Action::Audit), Just(Action::Block)];
    let source = option::weighted(0.4, collection::btree_set(subject_path(), 1..3));
    (tier, action, object, source, modifiers, 0..3_u8).prop_map(
        move |(tier, action, object, source, (bits, args), number)| {
            let of_syscall = matches!(object, Object::Syscall(_));
            let of_path = matches!(object, Object::Process(_) | Object::File(_));
            let of_process = matches!(object, Object::Process(_));
            let modified = (bits >> 3) % rarity == 0;
            Rule {
                tier,
                action: if of_syscall { Action::Audit } else { action },
                read_only: modified && matches!(object, Object::File(_)) && bits & 1 != 0,
                owner_only: modified && of_path && bits & 2 != 0,
                terminal_only: modified && bits & 4 != 0 && !of_syscall,
                allowed_args: args.filter(|_| of_process),
                object,
                source: source.filter(|_| !of_syscall),
                origin: origin(number),
            }
        },
    )
}

fn origin(number: u8) -> Origin {
    Origin {
        kind: Kind::Container,
        namespace: None,
        policy: format!("policy-{number}"),
        place: Place("spec".to_owned()),
        severity: None,
        tags: vec![],
        message: String::new(),
    }
}

fn object() -> impl Strategy<Value = Object> {
    use Protocol::{All, Icmp, Packet, Raw, Sctp, Stream, Tcp, Udp};
    let paths = |exec: bool| {
        (named(exec), collection::btree_set(linked(), 0..2))
            .prop_map(|(named, linked)| PathSet { named, linked })
    };
    let protocols = vec![All, Icmp, Packet, Raw, Sctp, Stream, Tcp, Udp];
    prop_oneof![
        4 => paths(true).prop_map(Object::Process),
        4 => paths(false).prop_map(Object::File),
        1 => sample::select(protocols).prop_map(Object::Network),
        1 => sample::select(CAPABILITIES.to_vec()).prop_map(Object::Capability),
        1 => sample::select(Preset::ALL.to_vec()).prop_map(Object::Preset),
        3 => domain().prop_map(Object::Dns),
        2 => syscalls().prop_map(Object::Syscall),
    ]
}

fn domain() -> impl Strategy<Value = String> {
    collection::vec(sample::select(LABELS.to_vec()), 1..4).prop_map(|labels| labels.join("."))
}

/// Mostly of the labels that rules use, in any letter case, sometimes with bytes that rules never use.
pub fn queried_name() -> impl Strategy<Value = Vec<u8>> {
    let strange = sample::select(vec![&b"\xff"[..], b"a/b", b"\0", b"/a"]).prop_map(<[u8]>::to_vec);
    let label = (sample::select(LABELS.to_vec()), any::<bool>()).prop_map(|(label, upper)| {
        let mut label = label.as_bytes().to_vec();
        if upper {
            label.make_ascii_uppercase();
        }
        label
    });
    let label = prop_oneof![12 => label, 1 => strange];
    collection::vec(label, 0..6).prop_map(|labels| labels.join(&b'.'))
}

fn syscalls() -> impl Strategy<Value = SyscallObject> {
    let calls = collection::btree_set(sample::select(CALLS.to_vec()).prop_map(str::to_owned), 1..3);
    let path = option::of((named(false), collection::btree_set(linked(), 0..2)));
    let source = prop_oneof![subject_path().prop_map(PathObject::Path), directory()];
    let sources = option::weighted(0.4, collection::btree_set(source, 1..3));
    (calls, path, sources).prop_map(|(calls, path, sources)| SyscallObject {
        calls,
        path: path.map(|(named, linked)| PathSet { named, linked }),
        sources,
    })
}

fn named(exec: bool) -> impl Strategy<Value = PathObject> {
    prop_oneof![
        3 => plain_path().prop_map(PathObject::Path),
        u32::from(exec) => name().prop_map(PathObject::ExecName),
        3 => directory(),
        3 => pattern().prop_map(PathObject::Pattern),
    ]
}

fn linked() -> impl Strategy<Value = PathObject> {
    prop_oneof![subject_path().prop_map(PathObject::Path), directory()]
}

fn directory() -> impl Strategy<Value = PathObject> {
    (plain_path(), any::<bool>()).prop_map(|(path, recursive)| {
        let dir = if path == "/" { path } else { format!("{path}/") };
        PathObject::Directory { dir, recursive }
    })
}

fn pattern() -> impl Strategy<Value = String> {
    collection::vec(sample::select(PIECES.to_vec()), 0..6)
        .prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn name() -> impl Strategy<Value = String> {
    sample::select(NAMES.to_vec()).prop_map(str::to_owned)
}

fn plain_path() -> impl Strategy<Value = String> {
    collection::vec(name(), 0..4).prop_map(|names| format!("/{}", names.join("/")))
}

fn virtual_path() -> impl Strategy<Value = String> {
    (sample::select(BINARIES.to_vec()), sample::select(APPLETS.to_vec()))
        .prop_map(|(binary, applet)| format!("{binary}//{applet}"))
}

fn subject_path() -> impl Strategy<Value = String> {
    prop_oneof![2 => plain_path(), 1 => virtual_path()]
}

fn executable() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![2 => accessed_path(), 1 => virtual_path().prop_map(String::into_bytes)]
}

/// Mostly of the names that rules use, sometimes with bytes that are no text.
pub fn accessed_path() -> impl Strategy<Value = Vec<u8>> {
    let strange = prop_oneof![
        Just(b"\xff".to_vec()),
        Just(b"a\xc3".to_vec()),
        Just("x€b".as_bytes().to_vec()),
        Just(b"cb".to_vec()),
    ];
    let name = prop_oneof![8 => name().prop_map(String::into_bytes), 1 => strange];
    collection::vec(name, 0..4).prop_map(|names| [b"/".to_vec(), names.join(&b'/')].concat())
}

fn argument() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        5 => sample::select(ARGUMENTS.to_vec()).prop_map(|arg| arg.as_bytes().to_vec()),
        1 => Just(b"other".to_vec()),
    ]
}

fn operation() -> impl Strategy<Value = FileOperation> {
    prop_oneof![
        2 => Just(FileOperation::Read),
        2 => Just(FileOperation::Change),
        1 => Just(FileOperation::Metadata),
    ]
}

fn socket() -> impl Strategy<Value = Socket> {
    let family = sample::select(vec![1, 2, 10, 16, 17]);
    let kind = sample::select(vec![1, 2, 3, 5, 10, 77]);
    let protocol = sample::select(vec![0, 1, 6, 17, 58, 132, 136, 262, 300]);
    (family, kind, protocol).prop_map(|(family, kind, protocol)| Socket { family, kind, protocol })
}

fn postures() -> impl Strategy<Value = Postures> {
    let posture = || prop_oneof![Just(Posture::Allow), Just(Posture::Audit), Just(Posture::Block)];
    (posture(), posture(), posture(), posture()).prop_map(
        |(process, file, network, capabilities)| Postures { process, file, network, capabilities },
    )
}
