//! From records to alerts, on a system that is made up.

use std::{collections::BTreeSet, time::Duration};

use policy::{Action, Kind, PathObject, Place};
use ruleset::{Object, PathSet, Rule, Tier};

use super::*;

/// A system on which the monotonic clock started at a known time and one old shell runs.
struct Fake;

impl System for Fake {
    fn wall_clock(&self, monotonic: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000) + Duration::from_nanos(monotonic)
    }

    fn program(&self, host_pid: u32) -> Option<Program> {
        (host_pid == 900).then(|| Program { path: "/usr/bin/bash".into(), args: vec!["-l".into()] })
    }

    fn user_name(&self, uid: u32) -> Option<String> {
        (uid == 0).then(|| "root".into())
    }
}

fn attributor() -> Attributor {
    let node = Node { cluster: "default".into(), host: "node".into(), id: "m1".into() };
    Attributor::new(node, "BPFLSM", Box::new(Fake), NonZeroUsize::new(16).unwrap())
}

pub(crate) fn teller() -> ContainerIdentity {
    ContainerIdentity {
        id: "0123456789ab".into(),
        name: "teller".into(),
        namespace: "bank".into(),
        labels: [("tier", "front"), ("app", "teller")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..ContainerIdentity::default()
    }
}

fn rules(action: Action) -> RuleSet {
    let object = Object::File(PathSet {
        named: PathObject::Path("/srv/bank/ledger".into()),
        linked: BTreeSet::new(),
    });
    let rule = Rule {
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
            namespace: Some("bank".into()),
            policy: "ledger-is-closed".into(),
            place: Place("spec.file.matchPaths[0]".into()),
            severity: Some(8),
            tags: vec!["PCI-DSS".into(), "ledger".into()],
            message: "the ledger is closed".into(),
        },
    };
    RuleSet { rules: vec![rule], ..RuleSet::default() }
}

pub(crate) fn record(operation: Operation) -> Record {
    Record {
        kind: RecordKind::Alert,
        operation,
        flags: 0,
        time: 1_234_000,
        exec: 2,
        parent_exec: 1,
        slot: 0,
        generation: 0,
        image: 0,
        rule: 0,
        result: -libc::EACCES,
        host_pid: 1001,
        host_ppid: 1000,
        pid: 8,
        ppid: 7,
        uid: 0,
        owner: 0,
        detail: [0; 4],
        address: [0; 16],
        comm: "cat".into(),
        tty: "pts0".into(),
        syscall: None,
        descriptor: -1,
        repeats: 0,
        path: Vec::new(),
        cwd: b"/root".into(),
        args: Vec::new(),
    }
}

fn exec(exec: u64, parent_exec: u64, path: &str, args: &[&str]) -> Record {
    Record {
        kind: RecordKind::Exec,
        exec,
        parent_exec,
        result: 0,
        path: path.into(),
        args: args.iter().map(|arg| arg.as_bytes().to_vec()).collect(),
        ..record(Operation::Exec)
    }
}

/// A shell that has started `cat /srv/bank/ledger`, both seen by the kernel.
pub(crate) fn shell_and_cat() -> Attributor {
    let mut attributor = attributor();
    for start in [
        exec(1, 0, "/usr/bin/dash", &["sh", "-c", "cat"]),
        exec(2, 1, "/usr/bin/cat", &["cat", "/srv/bank/ledger"]),
    ] {
        attribute(&mut attributor, &start, None, Subject::Host);
    }
    attributor
}

fn attribute(
    attributor: &mut Attributor,
    record: &Record,
    rules: Option<&RuleSet>,
    subject: Subject<'_>,
) -> Attributed {
    let workload = "0123456789ab".into();
    attributor.attribute(Occurrence { workload: &workload, record, rules }, subject)
}

fn alert_of(attributor: &mut Attributor, record: &Record, rules: &RuleSet) -> Alert {
    let teller = teller();
    let subject = Subject::Container(&teller);
    match attribute(attributor, record, Some(rules), subject) {
        Attributed::Alert { alert, .. } => *alert,
        _ => panic!("no alert"),
    }
}

fn log_of(attributed: Attributed) -> Log {
    match attributed {
        Attributed::Logs(logs) => logs.into_iter().next().unwrap(),
        _ => panic!("no log"),
    }
}

#[test]
fn every_field_of_a_file_block() {
    let record = Record { path: b"/srv/bank/ledger".into(), ..record(Operation::Open) };
    let alert = alert_of(&mut shell_and_cat(), &record, &rules(Action::Block));
    assert_eq!(
        alert,
        Alert {
            event: Log {
                timestamp: 1_700_000_000,
                updated_time: "2023-11-14T22:13:20.001234Z".into(),
                cluster_name: "default".into(),
                host_name: "node".into(),
                node_id: "m1".into(),
                namespace_name: "bank".into(),
                labels: "app=teller,tier=front".into(),
                container_id: "0123456789ab".into(),
                container_name: "teller".into(),
                host_ppid: 1000,
                host_pid: 1001,
                ppid: 7,
                pid: 8,
                uid: 0,
                exec_event: Some(ExecEvent { id: "2".into(), executable_name: "cat".into() }),
                parent_process_name: "/usr/bin/dash".into(),
                process_name: "/usr/bin/cat".into(),
                kind: "MatchedPolicy".into(),
                source: "/usr/bin/cat /srv/bank/ledger".into(),
                operation: "File".into(),
                resource: "/srv/bank/ledger".into(),
                cwd: "/root/".into(),
                tty: "pts0".into(),
                data: "lsm=FILE_OPEN".into(),
                event_data: [("Lsm", "FILE_OPEN"), ("Flags", "O_RDONLY")]
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
                result: "Permission denied".into(),
                ancestors: vec!["/usr/bin/dash".into()],
                ..Log::default()
            },
            enforcer: "BPFLSM".into(),
            policy_name: "ledger-is-closed".into(),
            version: VERSION.into(),
            severity: "8".into(),
            tags: "PCI-DSS,ledger".into(),
            tag_list: vec!["PCI-DSS".into(), "ledger".into()],
            message: "the ledger is closed".into(),
            action: "Block".into(),
            max_alerts_per_sec: 0,
            dropping_alerts_interval: 0,
            policy_kind: "KubeArmorPolicy".into(),
            policy_namespace: "bank".into(),
            rule_path: "spec.file.matchPaths[0]".into(),
            suppressed_alerts: 0,
        }
    );
}

#[test]
fn a_program_block_shows_the_attempt_and_its_caller() {
    let record = Record {
        exec: 1,
        path: b"/usr/bin/perl".into(),
        args: vec![b"perl".into(), b"-e".into(), b"1".into()],
        uid: 1000,
        ..record(Operation::Exec)
    };
    let alert = alert_of(&mut shell_and_cat(), &record, &rules(Action::Block));
    assert_eq!(alert.event.operation, "Process");
    assert_eq!(alert.event.resource, "/usr/bin/perl -e 1");
    assert_eq!(alert.event.source, "/usr/bin/dash");
    assert_eq!(alert.event.process_name, "/usr/bin/perl");
    assert_eq!(alert.event.parent_process_name, "/usr/bin/dash");
    assert_eq!(alert.event.data, "lsm=SECURITY_BPRM_CHECK");
    assert_eq!(alert.event.uid, 1000);
}

#[test]
fn an_audit_rule_speaks_through_the_monitor() {
    let record = Record { result: 0, path: b"/srv/x".into(), ..record(Operation::Open) };
    let alert = alert_of(&mut shell_and_cat(), &record, &rules(Action::Audit));
    assert_eq!(alert.action, "Audit");
    assert_eq!(alert.event.result, "Passed");
    assert_eq!(alert.enforcer, "eBPF Monitor");
}

#[test]
fn a_preset_speaks_in_its_own_name() {
    let memory =
        Record { flags: flag::NO_NAME, path: b"memfd:x".into(), ..record(Operation::FilelessExec) };
    let alert = alert_of(&mut shell_and_cat(), &memory, &rules(Action::Block));
    let event = &alert.event;
    assert_eq!((event.operation.as_str(), event.resource.as_str()), ("Process", "memfd:x"));
    assert_eq!((event.source.as_str(), event.data.as_str()), ("/usr/bin/cat", ""));
    assert_eq!(alert.enforcer, "PRESET-FilelessExecutionPreset");

    let map = Record { detail: [6, 5, 0x22, 0], result: 0, ..record(Operation::AnonymousMapExec) };
    let alert = alert_of(&mut shell_and_cat(), &map, &rules(Action::Audit));
    let event = &alert.event;
    assert_eq!((event.operation.as_str(), event.resource.as_str()), ("File", ""));
    assert_eq!(event.data, "PROT_WRITE|PROT_EXEC,PROT_READ|PROT_EXEC,MAP_PRIVATE|MAP_ANONYMOUS");
    assert!(event.event_data.is_empty());
    assert_eq!(alert.enforcer, "PRESET-AnonMapExecutionPreset");
    assert_eq!((alert.action.as_str(), event.result.as_str()), ("Audit", "Passed"));
}

#[test]
fn postures_and_unresolved_paths_have_no_attributes() {
    let audit = Record { rule: RULE_POSTURE, result: 0, ..record(Operation::Open) };
    let alert = alert_of(&mut shell_and_cat(), &audit, &rules(Action::Allow));
    assert_eq!((alert.policy_name.as_str(), alert.action.as_str()), ("DefaultPosture", "Audit"));
    assert_eq!(alert.enforcer, "BPFLSM");
    assert_eq!((alert.severity, alert.tags, alert.message), Default::default());

    let unresolved = Record { rule: RULE_UNRESOLVED, ..record(Operation::Open) };
    let alert = alert_of(&mut shell_and_cat(), &unresolved, &rules(Action::Allow));
    assert_eq!(alert.policy_name, "UnresolvedPath");
    assert_eq!(alert.message, "unresolved path");
    assert_eq!(alert.action, "Block");
}

#[test]
fn the_agent_speaks_for_itself() {
    let path = b"/usr/bin/kubearmor".to_vec();
    let signal =
        Record { rule: RULE_SELF, result: -libc::EPERM, path, ..record(Operation::Signal) };
    let alert = alert_of(&mut shell_and_cat(), &signal, &rules(Action::Allow));
    assert_eq!(alert.policy_name, "SelfProtection");
    assert_eq!(alert.action, "Block");
    assert_eq!(alert.enforcer, "BPFLSM");
    assert_eq!(alert.event.operation, "Process");
    assert_eq!(alert.event.result, "Operation not permitted");
    assert_eq!(alert.event.resource, "/usr/bin/kubearmor");
    assert_ne!(alert.event.process_name, "/usr/bin/kubearmor");
    assert_eq!(alert.event.data, "lsm=TASK_KILL");
}

#[test]
fn a_socket_and_its_address() {
    let mut address = [0; 16];
    address[..4].copy_from_slice(&[192, 0, 2, 53]);
    let record = Record { detail: [2, 1, 6, 443], address, ..record(Operation::SocketConnect) };
    let alert = alert_of(&mut shell_and_cat(), &record, &rules(Action::Block));
    assert_eq!(alert.event.operation, "Network");
    assert_eq!(alert.event.resource, "protocol=TCP type=SOCK_STREAM");
    assert_eq!(alert.event.data, "lsm=SOCKET_CONNECT protocol=TCP type=SOCK_STREAM");
    assert_eq!(alert.event.event_data["Protocol"], "TCP");
    assert_eq!(alert.event.event_data["Sin_addr"], "192.0.2.53");
    assert_eq!(alert.event.event_data["Sin_port"], "443");
}

#[test]
fn a_capability() {
    let record =
        Record { detail: [13, 0, 0, 0], result: -libc::EPERM, ..record(Operation::Capable) };
    let alert = alert_of(&mut shell_and_cat(), &record, &rules(Action::Block));
    assert_eq!(alert.event.operation, "Capabilities");
    assert_eq!(alert.event.resource, "CAP_NET_RAW");
    assert_eq!(alert.event.data, "lsm=CAPABLE CAP_NET_RAW");
    assert_eq!(alert.event.result, "Operation not permitted");
}

#[test]
fn on_the_host_there_is_a_user_and_no_container() {
    let attributed = attribute(
        &mut shell_and_cat(),
        &record(Operation::Open),
        Some(&rules(Action::Block)),
        Subject::Host,
    );
    let Attributed::Alert { alert, .. } = attributed else { panic!("no alert") };
    assert_eq!(alert.event.kind, "MatchedHostPolicy");
    assert_eq!(alert.event.user_name, "root");
    assert_eq!(alert.event.container_id, "");
}

#[test]
fn a_started_program_is_logged_if_visible() {
    let mut attributor = shell_and_cat();
    let teller = teller();
    let hidden = exec(3, 1, "/usr/bin/cat", &["cat", "/srv/seen.txt"]);
    let start = Record { flags: flag::VISIBLE, ..hidden.clone() };
    let subject = Subject::Container(&teller);
    let log = log_of(attribute(&mut attributor, &start, None, subject));
    assert_eq!(log.kind, "ContainerLog");
    assert_eq!(log.operation, "Process");
    assert_eq!(log.source, "/usr/bin/dash");
    assert_eq!(log.parent_process_name, "/usr/bin/dash");
    assert_eq!(log.process_name, "/usr/bin/cat");
    assert_eq!(log.resource, "/usr/bin/cat /srv/seen.txt");
    assert_eq!(log.data, "syscall=SYS_EXECVE");
    assert_eq!(log.event_data["Syscall"], "SYS_EXECVE");
    assert_eq!(log.result, "Passed");
    let host = log_of(attribute(&mut attributor, &start, None, Subject::Host));
    assert_eq!(host.kind, "HostLog");
    assert!(matches!(attribute(&mut attributor, &hidden, None, subject), Attributed::Nothing));
}

#[test]
fn the_parent_stands_in_for_an_unknown_caller() {
    let start = exec(3, 55, "/usr/bin/cat", &["cat"]);
    let start = Record { host_ppid: 900, flags: flag::VISIBLE, ..start };
    let log = log_of(attribute(&mut attributor(), &start, None, Subject::Host));
    assert_eq!(log.source, "/usr/bin/bash");
}

#[test]
fn a_program_older_than_the_agent_is_looked_up() {
    let record = Record { exec: 77, host_pid: 900, ..record(Operation::Open) };
    let alert = alert_of(&mut attributor(), &record, &rules(Action::Block));
    assert_eq!(alert.event.source, "/usr/bin/bash -l");
}

#[test]
fn a_program_that_is_gone_still_has_its_short_name() {
    let alert = alert_of(&mut attributor(), &record(Operation::Open), &rules(Action::Block));
    assert_eq!(alert.event.source, "cat");
    assert_eq!(alert.event.parent_process_name, "");
}

#[test]
fn what_was_cut_or_has_no_name_says_so() {
    let cut = Record {
        flags: flag::PATH_CUT | flag::ARGS_CUT,
        path: b"/deep/file".into(),
        args: vec![b"x".into(), b"-a".into()],
        ..record(Operation::Exec)
    };
    let alert = alert_of(&mut shell_and_cat(), &cut, &rules(Action::Block));
    assert_eq!(alert.event.resource, ".../deep/file -a ...");
    let memory =
        Record { flags: flag::NO_NAME, path: b"memfd:x".into(), ..record(Operation::Exec) };
    let alert = alert_of(&mut shell_and_cat(), &memory, &rules(Action::Block));
    assert_eq!(alert.event.resource, "memfd:x");
}

#[test]
fn a_rule_id_beyond_the_rules_is_admitted() {
    let stray = Record { rule: 9, ..record(Operation::Open) };
    let alert = alert_of(&mut shell_and_cat(), &stray, &rules(Action::Block));
    assert_eq!(alert.policy_name, "UnknownRule");
    assert_eq!(alert.action, "Block");
}

#[test]
fn a_dns_query_shows_the_name_in_small_letters() {
    let address = [192, 0, 2, 53, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let detail = [2, 2, 17, 53];
    let query =
        Record { path: b"WWW.Tracker.Test".into(), detail, address, ..record(Operation::DnsQuery) };
    let event = alert_of(&mut shell_and_cat(), &query, &rules(Action::Block)).event;
    assert_eq!(event.operation, "Network");
    assert_eq!(event.resource, "www.tracker.test");
    assert_eq!(event.data, "lsm=SOCKET_SENDMSG domain=www.tracker.test");
    assert_eq!(event.event_data["Domain"], "www.tracker.test");
    assert_eq!(event.event_data["Sin_addr"], "192.0.2.53");
    let unreadable = Record { flags: flag::UNRESOLVED, path: Vec::new(), ..query };
    let event = alert_of(&mut shell_and_cat(), &unreadable, &rules(Action::Block)).event;
    assert_eq!(event.resource, "a question that cannot be read");
}

#[test]
fn a_system_call_shows_its_name() {
    let number = policy::syscall::index("unlinkat").unwrap().into();
    let call = Record {
        path: b"/srv/spool/job".into(),
        detail: [number, 0, 0, 0],
        result: 0,
        ..record(Operation::Syscall)
    };
    let alert = alert_of(&mut shell_and_cat(), &call, &rules(Action::Audit));
    assert_eq!(alert.event.operation, "Syscall");
    assert_eq!(alert.event.data, "syscall=SYS_UNLINKAT");
    assert_eq!(alert.event.resource, "/srv/spool/job");
    assert_eq!((alert.event.result.as_str(), alert.action.as_str()), ("Passed", "Audit"));
    assert_eq!(alert.enforcer, "eBPF Monitor");
}
