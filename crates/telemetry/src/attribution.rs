//! Attribution: who did what where, and which rule had a word about it.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use policy::Action;
use ruleset::{Origin, Posture, RuleSet};
use wire::{Operation, RULE_POSTURE, RULE_SELF, RULE_UNRESOLVED, Record, RecordKind, flag};

use crate::{
    AccountKey, Alert, ExecEvent, Limit, Log, Owner, VERSION,
    names::{self, Socket},
    preset,
    program::{Program, ProgramTable},
    throttle::Stream,
};

/// What all events of this agent have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub cluster: String,
    pub host: String,
    /// The machine id.
    pub id: String,
}

/// A container as alerts name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerIdentity {
    pub id: String,
    pub name: String,
    pub namespace: String,
    /// Empty outside Kubernetes.
    pub pod: String,
    pub labels: BTreeMap<String, String>,
    pub image: String,
    pub owner: Option<Owner>,
}

/// The workload of an event.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    Container(&'a ContainerIdentity),
    Host,
}

/// What the kernel reported, with what is needed to understand it.
#[derive(Clone, Copy, Debug)]
pub struct Occurrence<'a> {
    /// A container's full id, or `host`.
    pub workload: &'a Arc<str>,
    pub record: &'a Record,
    /// The rules that the record's rule id counts in, if they are still known.
    pub rules: Option<&'a RuleSet>,
}

/// What only the running system knows. Called on the event path: answers must be quick.
pub trait System {
    /// The wall clock's time when the monotonic clock showed `monotonic` nanoseconds.
    fn wall_clock(&self, monotonic: u64) -> SystemTime;

    /// The program that the process runs now, for programs that were started before the agent was.
    fn program(&self, host_pid: u32) -> Option<Program>;

    /// The name of a user of the host.
    fn user_name(&self, uid: u32) -> Option<String>;
}

pub(crate) enum Attributed {
    Alert { alert: Box<Alert>, stream: Stream },
    Logs(Vec<Log>),
    Nothing,
}

pub(crate) struct Attributor {
    node: Node,
    enforcer: &'static str,
    system: Box<dyn System + Send>,
    programs: ProgramTable,
}

/// What decided, in the words of an alert.
struct Word<'a> {
    origin: Option<&'a Origin>,
    policy: &'a str,
    message: &'a str,
    /// Told apart when alerts are counted per rule.
    place: &'a str,
    posture: bool,
}

impl Attributor {
    pub(crate) fn new(
        node: Node,
        enforcer: &'static str,
        system: Box<dyn System + Send>,
        programs: NonZeroUsize,
    ) -> Self {
        Self { node, enforcer, system, programs: ProgramTable::new(programs) }
    }

    /// From here on events are of a cluster of this name.
    pub(crate) fn rename_cluster(&mut self, name: &str) {
        name.clone_into(&mut self.node.cluster);
    }

    /// Programs that are remembered.
    pub(crate) fn programs(&self) -> usize {
        self.programs.len()
    }

    pub(crate) fn attribute(&mut self, event: Occurrence<'_>, subject: Subject<'_>) -> Attributed {
        match event.record.kind {
            RecordKind::Alert => self.alert(event, subject),
            RecordKind::Exec => self.started(event.record, subject),
            RecordKind::Log => Attributed::Logs(self.logs(event.record, subject)),
        }
    }

    /// The event that announces a silence of the stream that `alert` belongs to.
    pub(crate) fn threshold(&self, alert: &Alert, limit: Limit) -> Alert {
        let about = &alert.event;
        Alert {
            event: Log {
                kind: "SystemEvent".into(),
                operation: "AlertThreshold".into(),
                result: "Passed".into(),
                timestamp: about.timestamp,
                updated_time: about.updated_time.clone(),
                cluster_name: about.cluster_name.clone(),
                host_name: about.host_name.clone(),
                node_id: about.node_id.clone(),
                namespace_name: about.namespace_name.clone(),
                owner: about.owner.clone(),
                pod_name: about.pod_name.clone(),
                labels: about.labels.clone(),
                container_id: about.container_id.clone(),
                container_name: about.container_name.clone(),
                container_image: about.container_image.clone(),
                ..Log::default()
            },
            enforcer: self.enforcer.into(),
            version: VERSION.into(),
            message: format!(
                "more than {} alerts a second of {}: no more for {} s",
                limit.per_second, alert.policy_name, limit.silence_seconds
            ),
            max_alerts_per_sec: limit.per_second,
            dropping_alerts_interval: limit.silence_seconds,
            ..Alert::default()
        }
    }

    fn started(&mut self, record: &Record, subject: Subject<'_>) -> Attributed {
        let program = Arc::new(Program { path: shown_path(record), args: shown_args(record) });
        self.programs.insert(record.exec, Arc::clone(&program), record.parent_exec);
        if record.flags & flag::VISIBLE == 0 {
            return Attributed::Nothing;
        }
        let caller = self.caller(record);
        Attributed::Logs(vec![self.start_log(record, subject, &caller, &program)])
    }

    /// The program that became the new one. Where it is not known, the parent process stands in: the caller is
    /// nearly always its fork, and of the caller itself `/proc` shows the new program already.
    fn caller(&mut self, record: &Record) -> Arc<Program> {
        self.program(record.parent_exec, record.host_ppid).unwrap_or_default()
    }

    fn alert(&mut self, event: Occurrence<'_>, subject: Subject<'_>) -> Attributed {
        let record = event.record;
        let word = word(event);
        let mut log = self.scene(record, subject);
        log.ancestors = self.ancestors(record);
        log.kind = match subject {
            Subject::Container(_) => "MatchedPolicy".into(),
            Subject::Host => "MatchedHostPolicy".into(),
        };
        log.operation = names::operation(record.operation).into();
        log.result = names::result(record.result);
        self.describe(record, &mut log);
        let denied = record.result < 0;
        let would_deny = !denied && is_audited_denial(event, &log.operation);
        let action = match (denied, would_deny) {
            (true, _) => "Block",
            (false, true) => "Audit (Block)",
            (false, false) => "Audit",
        };
        let tag_list = word.origin.map(|origin| origin.tags.clone()).unwrap_or_default();
        let alert = Alert {
            event: log,
            enforcer: self.spoken_by(record, denied || word.posture && !would_deny).into(),
            policy_name: word.policy.into(),
            version: VERSION.into(),
            severity: word
                .origin
                .and_then(|origin| origin.severity)
                .map(|severity| severity.to_string())
                .unwrap_or_default(),
            tags: tag_list.join(","),
            tag_list,
            message: word.message.into(),
            action: action.into(),
            max_alerts_per_sec: 0,
            dropping_alerts_interval: 0,
            policy_kind: word.origin.map(|o| o.kind.as_str().to_owned()).unwrap_or_default(),
            policy_namespace: word.origin.and_then(|o| o.namespace.clone()).unwrap_or_default(),
            rule_path: word.origin.map(|origin| origin.place.0.clone()).unwrap_or_default(),
            suppressed_alerts: 0,
        };
        let stream = Stream {
            account: AccountKey {
                workload: Arc::clone(event.workload),
                kind: word.origin.map(|origin| origin.kind),
                namespace: word.origin.and_then(|origin| origin.namespace.clone()),
                policy: word.policy.into(),
                action,
            },
            place: word.place.into(),
        };
        Attributed::Alert { alert: Box::new(alert), stream }
    }

    /// The `Enforcer` field.
    fn spoken_by(&self, record: &Record, enforced: bool) -> &'static str {
        preset::enforcer(record.operation).unwrap_or(if enforced {
            self.enforcer
        } else {
            "eBPF Monitor"
        })
    }

    /// Source, resource and data: who acted on what.
    fn describe(&mut self, record: &Record, log: &mut Log) {
        let actor = self.actor(record);
        log.data =
            names::hook(record.operation).map(|hook| format!("lsm={hook}")).unwrap_or_default();
        if log.operation == "Process" && names::starts(record.operation) {
            let attempt = Program { path: shown_path(record), args: shown_args(record) };
            log.source.clone_from(&actor.path);
            log.parent_process_name.clone_from(&actor.path);
            log.resource = attempt.command_line();
            log.process_name = attempt.path;
            log.event_data = event_data(&log.data);
            return;
        }
        log.source = actor.command_line();
        log.process_name.clone_from(&actor.path);
        log.parent_process_name = self
            .program(record.parent_exec, record.host_ppid)
            .map(|parent| parent.path.clone())
            .unwrap_or_default();
        match log.operation.as_str() {
            "Network" if record.operation == Operation::DnsQuery => {
                let name = String::from_utf8_lossy(&record.path).to_lowercase();
                log.data = format!("{} domain={name}", log.data);
                log.event_data = event_data(&log.data);
                let address = Socket::of(record).address().into_iter().flatten();
                log.event_data.extend(address.map(|(key, value)| (key.to_owned(), value)));
                log.resource = match record.flags & flag::UNRESOLVED {
                    0 => name,
                    _ => "a question that cannot be read".into(),
                };
            }
            "Syscall" if record.operation == Operation::Syscall => {
                log.data = format!("syscall={}", names::syscall(record.detail[0]));
                log.event_data = event_data(&log.data);
                log.resource = shown_path(record);
            }
            "Network" => {
                let socket = Socket::of(record);
                log.resource = socket.resource();
                log.data = format!("{} {}", log.data, log.resource);
                log.event_data = event_data(&log.data);
                if record.operation != Operation::SocketCreate {
                    let address = socket.address().into_iter().flatten();
                    log.event_data.extend(address.map(|(key, value)| (key.to_owned(), value)));
                }
            }
            "Capabilities" => {
                log.resource = names::capability(record.detail[0]);
                log.data = format!("{} {}", log.data, log.resource);
                log.event_data = event_data(&log.data);
            }
            _ => {
                log.resource = shown_path(record);
                log.event_data = event_data(&log.data);
                match record.operation {
                    Operation::Open | Operation::Inherit | Operation::Receive | Operation::Use => {
                        let flags = names::open_flags(record.detail[0]);
                        log.event_data.insert("Flags".into(), flags);
                    }
                    Operation::Bpf => log.resource = "a map or link of the agent".into(),
                    Operation::AnonymousMapExec => log.data = preset::mapping(record),
                    _ => {}
                }
            }
        }
    }

    pub(crate) fn program(&mut self, exec: u64, host_pid: u32) -> Option<Arc<Program>> {
        let system = &self.system;
        self.programs.get_or_look(exec, || match host_pid {
            0 => None,
            pid => system.program(pid),
        })
    }

    /// The parent's program is known better by its own number: what is told of a program's start is who started it.
    pub(crate) fn ancestors(&mut self, record: &Record) -> Vec<String> {
        self.programs.descent(record.parent_exec)
    }

    /// When, where and in which process.
    pub(crate) fn scene(&self, record: &Record, subject: Subject<'_>) -> Log {
        let time = self.system.wall_clock(record.time);
        let mut log = Log {
            timestamp: unix_seconds(time),
            updated_time: shown_time(time),
            cluster_name: self.node.cluster.clone(),
            host_name: self.node.host.clone(),
            node_id: self.node.id.clone(),
            host_ppid: record.host_ppid,
            host_pid: record.host_pid,
            ppid: record.ppid,
            pid: record.pid,
            uid: record.uid,
            tty: record.tty.clone(),
            cwd: shown_cwd(record),
            exec_event: Some(ExecEvent {
                id: record.exec.to_string(),
                executable_name: record.comm.clone(),
            }),
            ..Log::default()
        };
        match subject {
            Subject::Container(container) => {
                log.namespace_name.clone_from(&container.namespace);
                log.owner.clone_from(&container.owner);
                log.pod_name.clone_from(&container.pod);
                log.labels = shown_labels(&container.labels);
                log.container_id.clone_from(&container.id);
                log.container_name.clone_from(&container.name);
                log.container_image.clone_from(&container.image);
            }
            Subject::Host => {
                log.user_name = self.system.user_name(record.uid).unwrap_or_default();
            }
        }
        log
    }
}

/// Whether what was permitted would have been denied, did the workload's rules not hold as audit alone.
fn is_audited_denial(event: Occurrence<'_>, operation: &str) -> bool {
    let Some(rules) = event.rules.filter(|rules| rules.audited) else { return false };
    if event.record.rule == RULE_POSTURE {
        let posture = match operation {
            "Process" => rules.postures.process,
            "File" => rules.postures.file,
            "Capabilities" => rules.postures.capabilities,
            _ => rules.postures.network,
        };
        return posture == Posture::Block;
    }
    let rule = usize::try_from(event.record.rule).ok().and_then(|rule| rules.rules.get(rule));
    rule.is_some_and(|rule| rule.action != Action::Audit)
}

fn word(event: Occurrence<'_>) -> Word<'_> {
    let record = event.record;
    match record.rule {
        RULE_POSTURE => Word {
            origin: None,
            policy: "DefaultPosture",
            message: "",
            place: names::operation(record.operation),
            posture: true,
        },
        RULE_UNRESOLVED => Word {
            origin: None,
            policy: "UnresolvedPath",
            message: "unresolved path",
            place: names::operation(record.operation),
            posture: true,
        },
        RULE_SELF => Word {
            origin: None,
            policy: "SelfProtection",
            message: "the agent, its state and its pins are not to be touched",
            place: names::operation(record.operation),
            posture: false,
        },
        rule => {
            let origin = event
                .rules
                .and_then(|rules| rules.rules.get(usize::try_from(rule).ok()?))
                .map(|rule| &rule.origin);
            Word {
                origin,
                policy: origin.map_or("UnknownRule", |origin| &origin.policy),
                message: origin
                    .map_or("the rules that decided are not known any more", |o| &o.message),
                place: origin.map_or("", |origin| &origin.place.0),
                posture: false,
            }
        }
    }
}

pub(crate) fn shown_path(record: &Record) -> String {
    let path = shown(&record.path, record.flags & flag::PATH_CUT != 0);
    if record.flags & flag::ASKED != 0 && !path.starts_with('/') && starts_at_cwd(record) {
        return format!("{}{path}", shown_cwd(record));
    }
    path
}

/// The names next to the root are those that a cut path lacks.
fn shown(path: &[u8], cut: bool) -> String {
    let path = String::from_utf8_lossy(path);
    if cut { format!("...{path}") } else { path.into_owned() }
}

/// Whether the text that was asked for counts from the working directory.
fn starts_at_cwd(record: &Record) -> bool {
    let is_file = matches!(record.operation, Operation::Open | Operation::Exec);
    is_file && record.detail[1].cast_signed() == libc::AT_FDCWD
}

/// With a slash behind it, as clients expect.
fn shown_cwd(record: &Record) -> String {
    let mut cwd = shown(&record.cwd, record.flags & flag::CWD_CUT != 0);
    if !cwd.is_empty() && !cwd.ends_with('/') {
        cwd.push('/');
    }
    cwd
}

pub(crate) fn shown_args(record: &Record) -> Vec<String> {
    let args = record.args.iter().skip(1).map(|arg| String::from_utf8_lossy(arg).into_owned());
    let cut = record.flags & flag::ARGS_CUT != 0;
    args.chain(cut.then(|| "...".to_owned())).collect()
}

fn shown_labels(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// `Timestamp`
pub fn unix_seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// `UpdatedTime`: UTC with microseconds.
pub fn shown_time(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
        .unwrap_or_default()
}

/// The `k=v` tokens of `Data`, the keys with a capital letter in front.
pub(crate) fn event_data(data: &str) -> BTreeMap<String, String> {
    data.split_whitespace()
        .filter_map(|token| token.split_once('='))
        .map(|(key, value)| {
            let mut letters = key.chars();
            let first = letters.next().into_iter().flat_map(char::to_uppercase);
            (first.chain(letters).collect(), value.to_owned())
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
