//! The sentences of the policy reference, one by one.

use std::collections::BTreeSet;

use policy::{Action, Kind, PathObject, Place, Preset, Protocol};
use ruleset::{
    Access, AccessObject, Class, DecidedBy, Decision, FileOperation, Object, Origin, PathSet,
    Posture, Postures, Rule, RuleSet, Socket, SyscallObject, Tier, decide,
};

const READ: FileOperation = FileOperation::Read;
const CHANGE: FileOperation = FileOperation::Change;

const SILENT: Decision = Decision { permitted: true, by: None, alert: None };

fn denied(rule: u32) -> Decision {
    let by = Some(DecidedBy::Rule(rule));
    Decision { permitted: false, by, alert: by }
}

fn permitted(rule: u32) -> Decision {
    Decision { permitted: true, by: Some(DecidedBy::Rule(rule)), alert: None }
}

fn set<const N: usize>(rules: [Rule; N]) -> RuleSet {
    let postures = Postures {
        process: Posture::Block,
        file: Posture::Block,
        network: Posture::Block,
        capabilities: Posture::Block,
    };
    RuleSet { rules: rules.into(), postures, ..RuleSet::default() }
}

fn rule(action: Action, object: Object) -> Rule {
    Rule {
        tier: Tier::Namespaced,
        action,
        object,
        source: None,
        read_only: false,
        owner_only: false,
        terminal_only: false,
        allowed_args: None,
        origin: Origin {
            kind: Kind::Container,
            namespace: None,
            policy: "p".into(),
            place: Place("spec".into()),
            severity: None,
            tags: vec![],
            message: String::new(),
        },
    }
}

fn paths(named: PathObject) -> PathSet {
    PathSet { named, linked: BTreeSet::new() }
}

fn path(path: &str) -> PathObject {
    PathObject::Path(path.into())
}

fn pattern(pattern: &str) -> PathObject {
    PathObject::Pattern(pattern.into())
}

fn below(dir: &str) -> PathObject {
    PathObject::Directory { dir: dir.into(), recursive: true }
}

fn file(action: Action, named: PathObject) -> Rule {
    rule(action, Object::File(paths(named)))
}

fn program(action: Action, named: PathObject) -> Rule {
    rule(action, Object::Process(paths(named)))
}

fn from(source: &str, rule: Rule) -> Rule {
    Rule { source: Some(BTreeSet::from([source.to_owned()])), ..rule }
}

fn with_arguments(allowed: &[&str], rule: Rule) -> Rule {
    Rule { allowed_args: Some(allowed.iter().map(|&arg| arg.to_owned()).collect()), ..rule }
}

fn access(object: AccessObject<'_>) -> Access<'_> {
    Access { subject: Some(b"/bin/cat"), object, terminal: false, owner: false }
}

fn open(path: &str, operation: FileOperation) -> Access<'_> {
    access(AccessObject::File { path: path.as_bytes(), operation })
}

fn run<'a>(path: &'a str, args: &'a [&'a [u8]]) -> Access<'a> {
    access(AccessObject::Execute { path: Some(path.as_bytes()), args })
}

fn owner(access: Access<'_>) -> Access<'_> {
    Access { owner: true, ..access }
}

fn terminal(access: Access<'_>) -> Access<'_> {
    Access { terminal: true, ..access }
}

#[test]
fn one_allow_rule_puts_its_class_into_allow_list_mode() {
    let posture = Some(DecidedBy::Posture(Class::File));
    let rules = set([from("/bin/other", file(Action::Allow, path("/a")))]);
    let by_posture = Decision { permitted: false, by: posture, alert: posture };
    assert_eq!(decide(&rules, &open("/b", READ)), by_posture);
    assert_eq!(decide(&rules, &run("/b", &[])), SILENT);

    let mut auditing = rules.clone();
    auditing.postures.file = Posture::Audit;
    let permitted = Decision { permitted: true, by: posture, alert: posture };
    assert_eq!(decide(&auditing, &open("/b", READ)), permitted);
    auditing.postures.file = Posture::Allow;
    assert_eq!(decide(&auditing, &open("/b", READ)), Decision { alert: None, ..permitted });
    assert_eq!(decide(&set([file(Action::Block, path("/a"))]), &open("/b", READ)), SILENT);
}

#[test]
fn the_most_specific_rule_decides() {
    let ladder = [
        program(Action::Block, below("/opt/")),
        program(Action::Allow, below("/opt/k/")),
        program(Action::Block, pattern("/opt/k/g*")),
        program(Action::Allow, pattern("/opt/k/ga*")),
        program(Action::Block, PathObject::ExecName("gamma".into())),
        program(Action::Allow, path("/opt/k/sub/gamma")),
        from("/bin/cat", program(Action::Block, below("/opt/k/sub/"))),
    ];
    let rules = set(ladder);
    assert_eq!(decide(&rules, &run("/opt/x", &[])), denied(0));
    assert_eq!(decide(&rules, &run("/opt/k/x", &[])), permitted(1));
    assert_eq!(decide(&rules, &run("/opt/k/g", &[])), denied(2));
    assert_eq!(decide(&rules, &run("/opt/k/gab", &[])), permitted(3));
    assert_eq!(decide(&rules, &run("/opt/k/gamma", &[])), denied(4));
    let other = Access { subject: Some(b"/bin/sh"), ..run("/opt/k/sub/gamma", &[]) };
    assert_eq!(decide(&rules, &other), permitted(5));
    assert_eq!(decide(&rules, &run("/opt/k/sub/gamma", &[])), denied(6));
}

#[test]
fn block_beats_allow_at_equal_specificity() {
    let rules = set([file(Action::Allow, path("/a")), file(Action::Block, path("/a"))]);
    assert_eq!(decide(&rules, &open("/a", READ)), denied(1));
}

#[test]
fn a_denial_of_the_cluster_tier_is_final() {
    let cluster = |rule: Rule| Rule { tier: Tier::Cluster, ..rule };
    let rules = set([
        cluster(file(Action::Block, below("/c/"))),
        cluster(file(Action::Allow, path("/c/open"))),
        file(Action::Allow, path("/c/shut")),
        file(Action::Block, path("/c/open")),
        cluster(file(Action::Allow, path("/d"))),
    ]);
    assert_eq!(decide(&rules, &open("/c/shut", READ)), denied(0));
    assert_eq!(decide(&rules, &open("/c/open", READ)), denied(3));
    assert_eq!(decide(&rules, &open("/d", READ)), permitted(4));
}

#[test]
fn audit_rules_change_no_verdict() {
    let rules = set([
        file(Action::Block, below("/w/")),
        file(Action::Audit, path("/w/key")),
        file(Action::Audit, path("/v")),
        file(Action::Allow, path("/x")),
        file(Action::Audit, below("/")),
    ]);
    assert_eq!(decide(&rules, &open("/w/key", READ)), denied(0));
    let posture = Some(DecidedBy::Posture(Class::File));
    let unlisted = Decision { permitted: false, by: posture, alert: posture };
    assert_eq!(decide(&rules, &open("/v", READ)), unlisted);
    let alerted = Decision { alert: Some(DecidedBy::Rule(4)), ..permitted(3) };
    assert_eq!(decide(&rules, &open("/x", READ)), alerted);
    let mut auditing = rules;
    auditing.postures.file = Posture::Audit;
    let alert = Some(DecidedBy::Rule(2));
    let expected = Decision { permitted: true, by: posture, alert };
    assert_eq!(decide(&auditing, &open("/v", READ)), expected);
}

#[test]
fn read_only_permits_reading_and_denies_change_whatever_the_action() {
    for action in [Action::Allow, Action::Block] {
        let rules = set([Rule { read_only: true, ..file(action, path("/a")) }]);
        assert_eq!(decide(&rules, &open("/a", READ)), permitted(0));
        assert_eq!(decide(&rules, &open("/a", CHANGE)), denied(0));
    }
    let audit = set([Rule { read_only: true, ..file(Action::Audit, path("/a")) }]);
    assert_eq!(decide(&audit, &open("/a", READ)), SILENT);
    let alert = Some(DecidedBy::Rule(0));
    assert_eq!(decide(&audit, &open("/a", CHANGE)), Decision { alert, ..SILENT });
}

#[test]
fn owner_only_is_for_the_owner_whatever_the_action() {
    for action in [Action::Allow, Action::Block] {
        let rules = set([Rule { owner_only: true, ..file(action, path("/a")) }]);
        assert_eq!(decide(&rules, &owner(open("/a", CHANGE))), permitted(0));
        assert_eq!(decide(&rules, &open("/a", READ)), denied(0));
        let both = Rule { read_only: true, ..rules.rules[0].clone() };
        assert_eq!(decide(&set([both.clone()]), &owner(open("/a", READ))), permitted(0));
        assert_eq!(decide(&set([both]), &owner(open("/a", CHANGE))), denied(0));
    }
    let audit = set([Rule { owner_only: true, ..file(Action::Audit, path("/a")) }]);
    assert_eq!(decide(&audit, &owner(open("/a", READ))), SILENT);
    assert_eq!(decide(&audit, &open("/a", READ)).alert, Some(DecidedBy::Rule(0)));
}

#[test]
fn a_terminal_makes_the_difference() {
    let on_terminal = |action| set([Rule { terminal_only: true, ..file(action, path("/a")) }]);
    let block = on_terminal(Action::Block);
    assert_eq!(decide(&block, &terminal(open("/a", READ))), denied(0));
    assert_eq!(decide(&block, &open("/a", READ)), SILENT);
    let allow = on_terminal(Action::Allow);
    assert_eq!(decide(&allow, &terminal(open("/a", READ))), denied(0));
    assert_eq!(decide(&allow, &open("/a", READ)), permitted(0));
    let audit = on_terminal(Action::Audit);
    assert_eq!(decide(&audit, &open("/a", READ)), SILENT);
    assert_eq!(decide(&audit, &terminal(open("/a", READ))).alert, Some(DecidedBy::Rule(0)));
}

#[test]
fn allowed_arguments() {
    let listed: &[&[u8]] = &[b"-S", b"-c", b"-c"];
    let unlisted: &[&[u8]] = &[b"-c", b"-x"];
    let rules = |action| set([with_arguments(&["-c", "-S"], program(action, path("/py")))]);
    let block = rules(Action::Block);
    assert_eq!(decide(&block, &run("/py", listed)), permitted(0));
    assert_eq!(decide(&block, &run("/py", &[])), permitted(0));
    assert_eq!(decide(&block, &run("/py", unlisted)), denied(0));
    let allow = rules(Action::Allow);
    assert_eq!(decide(&allow, &run("/py", listed)), permitted(0));
    assert_eq!(decide(&allow, &run("/py", unlisted)).by, Some(DecidedBy::Posture(Class::Process)));
    let audit = rules(Action::Audit);
    assert_eq!(decide(&audit, &run("/py", listed)), SILENT);
    assert_eq!(decide(&audit, &run("/py", unlisted)).alert, Some(DecidedBy::Rule(0)));
}

#[test]
fn metadata_is_denied_by_an_explicit_rule_only() {
    let metadata = FileOperation::Metadata;
    let rules = set([
        file(Action::Block, path("/shut")),
        file(Action::Audit, path("/seen")),
        Rule { read_only: true, ..file(Action::Allow, path("/read")) },
    ]);
    assert_eq!(decide(&rules, &open("/shut", metadata)), denied(0));
    assert_eq!(decide(&rules, &open("/seen", metadata)), SILENT);
    assert_eq!(decide(&rules, &open("/read", metadata)), permitted(2));
    assert_eq!(decide(&rules, &open("/unlisted", metadata)), SILENT);
}

#[test]
fn what_has_no_path_matches_no_path_rule() {
    let nameless = access(AccessObject::Execute { path: None, args: &[] });
    assert_eq!(decide(&set([program(Action::Block, below("/"))]), &nameless), SILENT);
    let listed = set([program(Action::Allow, below("/"))]);
    assert_eq!(decide(&listed, &nameless).by, Some(DecidedBy::Posture(Class::Process)));
    let subjectless = Access { subject: None, ..open("/a", READ) };
    let by_source = set([from("/bin/cat", file(Action::Block, path("/a")))]);
    assert_eq!(decide(&by_source, &open("/a", READ)), denied(0));
    assert_eq!(decide(&by_source, &subjectless), SILENT);
}

#[test]
fn sockets_and_capabilities_by_source_then_block() {
    let rules = set([
        rule(Action::Block, Object::Network(Protocol::Tcp)),
        rule(Action::Allow, Object::Network(Protocol::Stream)),
        from("/bin/cat", rule(Action::Allow, Object::Network(Protocol::All))),
        rule(Action::Block, Object::Capability(13)),
    ]);
    let socket = |family| access(AccessObject::Socket(Socket { family, kind: 1, protocol: 0 }));
    assert_eq!(decide(&rules, &socket(2)), permitted(2));
    let other = Access { subject: Some(b"/bin/sh"), ..socket(2) };
    assert_eq!(decide(&rules, &other), denied(0));
    assert_eq!(decide(&rules, &Access { subject: None, ..socket(1) }), SILENT);
    assert_eq!(decide(&rules, &access(AccessObject::Capability(13))), denied(3));
    assert_eq!(decide(&rules, &access(AccessObject::Capability(12))), SILENT);
}

#[test]
fn a_preset_blocks_before_it_audits_in_whichever_tier() {
    let preset = |action, tier, preset| Rule { tier, ..rule(action, Object::Preset(preset)) };
    let rules = set([
        preset(Action::Audit, Tier::Cluster, Preset::Exec),
        preset(Action::Audit, Tier::Cluster, Preset::ProtectEnv),
        preset(Action::Block, Tier::Cluster, Preset::ProtectProc),
        preset(Action::Audit, Tier::Namespaced, Preset::ProtectEnv),
        preset(Action::Block, Tier::Namespaced, Preset::Exec),
        preset(Action::Block, Tier::Namespaced, Preset::ProtectProc),
        program(Action::Allow, below("/")),
    ]);
    let decided = |preset| decide(&rules, &access(AccessObject::Preset(preset)));
    assert_eq!(decided(Preset::Exec), denied(4));
    assert_eq!(decided(Preset::ProtectProc), denied(2));
    let audited = Decision { permitted: true, by: None, alert: Some(DecidedBy::Rule(1)) };
    assert_eq!(decided(Preset::ProtectEnv), audited);
    assert_eq!(
        decided(Preset::FilelessExec),
        SILENT,
        "an allow-list of programs is none of presets"
    );
}

fn query(name: &str) -> Access<'_> {
    access(AccessObject::Dns(Some(name.as_bytes())))
}

fn domain(action: Action, name: &str) -> Rule {
    rule(action, Object::Dns(name.into()))
}

#[test]
fn a_domain_is_its_name_and_all_names_below() {
    let rules = set([domain(Action::Block, "tracker.test")]);
    for name in ["tracker.test", "TrAcKeR.tEsT", "a.b.tracker.test"] {
        assert_eq!(decide(&rules, &query(name)), denied(0), "{name}");
    }
    for name in ["mytracker.test", "tracker.test.example", "test", ""] {
        assert_eq!(decide(&rules, &query(name)), SILENT, "{name}");
    }
}

#[test]
fn the_deeper_domain_decides() {
    let rules = set([
        domain(Action::Block, "example"),
        domain(Action::Allow, "good.example"),
        domain(Action::Block, "bad.good.example"),
        from("/bin/cat", domain(Action::Allow, "example")),
    ]);
    let by_other = |name| Access { subject: Some(b"/bin/sh"), ..query(name) };
    assert_eq!(decide(&rules, &by_other("x.example")), denied(0));
    assert_eq!(decide(&rules, &by_other("x.good.example")), permitted(1));
    assert_eq!(decide(&rules, &by_other("x.bad.good.example")), denied(2));
    assert_eq!(decide(&rules, &query("x.bad.good.example")), permitted(3));
}

#[test]
fn names_that_no_rule_allows_get_the_posture_of_the_network() {
    let posture = Some(DecidedBy::Posture(Class::Dns));
    let rules = set([domain(Action::Allow, "partner.test")]);
    let unlisted = Decision { permitted: false, by: posture, alert: posture };
    assert_eq!(decide(&rules, &query("api.partner.test")), permitted(0));
    assert_eq!(decide(&rules, &query("elsewhere.test")), unlisted);
    assert_eq!(decide(&rules, &query("")), unlisted);
}

/// It may be a query for any of the names that are blocked, and for none that is allowed.
#[test]
fn a_query_that_cannot_be_read_counts_as_every_blocked_name() {
    let unreadable = access(AccessObject::Dns(None));
    assert_eq!(decide(&set([domain(Action::Block, "a.test")]), &unreadable), denied(0));
    assert_eq!(decide(&set([domain(Action::Audit, "a.test")]), &unreadable), SILENT);
    let by_other = from("/bin/sh", domain(Action::Block, "a.test"));
    assert_eq!(decide(&set([by_other]), &unreadable), SILENT);
    let listed = set([domain(Action::Allow, "a.test")]);
    assert_eq!(decide(&listed, &unreadable).by, Some(DecidedBy::Posture(Class::Dns)));
}

fn watched(calls: &[&str], path: Option<PathObject>, sources: &[PathObject]) -> Rule {
    let object = SyscallObject {
        calls: calls.iter().map(|&call| call.to_owned()).collect(),
        path: path.map(paths),
        sources: (!sources.is_empty()).then(|| sources.iter().cloned().collect()),
    };
    rule(Action::Audit, Object::Syscall(object))
}

#[test]
fn system_calls_are_audited_by_name_by_path_and_by_source() {
    let rules = set([
        watched(&["keyctl", "unlink"], None, &[]),
        watched(&["unlink"], Some(below("/srv/")), &[]),
        watched(&["personality"], None, &[below("/opt/"), path("/bin/cat")]),
    ]);
    let call = |name, path: Option<&'static [u8]>| access(AccessObject::Syscall { name, path });
    let audited = |rule| Decision { alert: Some(DecidedBy::Rule(rule)), ..SILENT };
    assert_eq!(decide(&rules, &call("keyctl", None)), audited(0));
    assert_eq!(decide(&rules, &call("getcpu", None)), SILENT);
    assert_eq!(decide(&rules, &call("unlink", None)), audited(0));
    assert_eq!(decide(&rules, &call("unlink", Some(b"/srv/a/b"))), audited(1));
    assert_eq!(decide(&rules, &call("unlink", Some(b"/etc/x"))), SILENT);
    assert_eq!(decide(&rules, &call("keyctl", Some(b"/srv/a"))), SILENT);
    assert_eq!(decide(&rules, &call("personality", None)), audited(2));
    let tool = Access { subject: Some(b"/opt/a/tool"), ..call("personality", None) };
    assert_eq!(decide(&rules, &tool), audited(2));
    let other = Access { subject: Some(b"/bin/sh"), ..call("personality", None) };
    assert_eq!(decide(&rules, &other), SILENT);
}
