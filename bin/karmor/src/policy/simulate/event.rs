//! One recorded event as the access that it tells of, with all that it leaves open.

use std::collections::BTreeMap;

use policy::{Capability, Preset};
use ruleset::{FileOperation, OwnedAccess, OwnedObject, Socket, Workload, WorkloadKind};
use serde_json::Value;

use crate::event::{Fields, FileUse};

/// How the recorded access ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    /// By a policy, with an alert.
    Denied,
    Alerted,
    Permitted,
    /// For a reason that is no policy's.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) workload: Workload,
    pub(super) doing: Doing,
    pub(super) recorded: Recorded,
    pub(super) time: String,
    /// How often it happened.
    pub(super) times: u64,
}

/// What was done. Where the record leaves something open, there is more than one possibility.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Doing {
    pub(super) access: OwnedAccess,
    pub(super) open: Vec<Open>,
}

/// What a record does not tell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Open {
    Owner,
    Subject,
    /// Arguments behind those that were recorded.
    Arguments,
    /// The socket may as well be this one.
    Socket(Socket),
}

/// Why there is no access to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The agent speaks of itself.
    Own,
    Reason(&'static str),
}

pub(super) fn read(value: &Value) -> Result<Event, Unfit> {
    let fields = Fields::of(value).ok_or(Unfit::Reason("is no JSON object"))?;
    if fields.is_own() {
        return Err(Unfit::Own);
    }
    if fields.text("policyname") == "UnresolvedPath" {
        return Err(Unfit::Reason("its path could not be resolved"));
    }
    Ok(Event {
        doing: doing(&fields)?,
        workload: workload(&fields),
        recorded: recorded(&fields),
        time: fields.text("updatedtime").to_owned(),
        times: fields.times(),
    })
}

fn recorded(fields: &Fields<'_>) -> Recorded {
    let passed = matches!(fields.text("result"), "Passed" | "");
    match (fields.is_alert(), passed) {
        (true, false) => Recorded::Denied,
        (true, true) => Recorded::Alerted,
        (false, true) => Recorded::Permitted,
        (false, false) => Recorded::Failed,
    }
}

fn workload(fields: &Fields<'_>) -> Workload {
    let container = fields.text("containername");
    let labels = fields.text("labels").split(',').filter_map(|label| label.split_once('='));
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    if fields.is_of_host() {
        return workload::host(fields.text("hostname"));
    }
    Workload {
        kind: WorkloadKind::Container,
        name: container.to_owned(),
        namespace: fields.text("namespacename").to_owned(),
        labels,
    }
}

fn doing(fields: &Fields<'_>) -> Result<Doing, Unfit> {
    let mut open = vec![];
    let object = match preset(fields)? {
        Some(preset) => OwnedObject::Preset(preset),
        None => used(fields, &mut open)?,
    };
    let subject = subject(fields);
    if subject.is_none() {
        open.push(Open::Subject);
    }
    let terminal = !fields.text("tty").is_empty();
    Ok(Doing { access: OwnedAccess { subject, object, terminal, owner: false }, open })
}

/// The preset that raised the alert, if one did.
fn preset(fields: &Fields<'_>) -> Result<Option<Preset>, Unfit> {
    let Some(name) = fields.text("enforcer").strip_prefix("PRESET-") else { return Ok(None) };
    match name {
        "AnonMapExecutionPreset" => Ok(Some(Preset::AnonymousMapExec)),
        "FilelessExecutionPreset" => Ok(Some(Preset::FilelessExec)),
        "ProtectEnvPreset" => Ok(Some(Preset::ProtectEnv)),
        "ExecPreset" => Ok(Some(Preset::Exec)),
        "ProtectProcPreset" => Ok(Some(Preset::ProtectProc)),
        _ => Err(Unfit::Reason("is about a preset that is not known")),
    }
}

fn used(fields: &Fields<'_>, open: &mut Vec<Open>) -> Result<OwnedObject, Unfit> {
    let resource = fields.text("resource");
    Ok(match fields.text("operation") {
        "Process" => {
            open.push(Open::Owner);
            execution(fields, open)?
        }
        "File" => {
            open.push(Open::Owner);
            let operation = file_operation(fields)?;
            OwnedObject::File { path: path(resource)?, operation }
        }
        "Network" => {
            if let Some(query) = query(fields) {
                query
            } else {
                let (socket, other) = socket(fields)?;
                open.extend(other.map(Open::Socket));
                OwnedObject::Socket(socket)
            }
        }
        "Capabilities" => {
            let known = Capability::parse(resource.split_whitespace().next().unwrap_or_default());
            let capability = known.ok_or(Unfit::Reason("names a capability that is not known"))?;
            OwnedObject::Capability(capability.0)
        }
        "Syscall" => call(fields)?,
        _ => return Err(Unfit::Reason("has an operation that is not known")),
    })
}

/// For an exec it is the program that called it.
fn subject(fields: &Fields<'_>) -> Option<Vec<u8>> {
    let named = match fields.text("operation") {
        "Process" => fields.text("parentprocessname"),
        _ => fields.text("processname"),
    };
    let first = fields.text("source").split(' ').next().unwrap_or_default();
    let known = [named, first].into_iter().find(|path| path.starts_with('/'));
    known.map(|path| path.as_bytes().to_vec())
}

fn execution(fields: &Fields<'_>, open: &mut Vec<Open>) -> Result<OwnedObject, Unfit> {
    let line = fields.text("resource");
    let program = match fields.text("processname") {
        "" => line.split(' ').next().unwrap_or_default(),
        name => name,
    };
    let behind = line.strip_prefix(program).unwrap_or_default();
    let mut args: Vec<Vec<u8>> =
        behind.split_whitespace().map(|arg| arg.as_bytes().to_vec()).collect();
    if args.last().is_some_and(|last| last == b"...") {
        args.pop();
        open.push(Open::Arguments);
    }
    Ok(OwnedObject::Execute { path: Some(path(program)?), args })
}

fn path(text: &str) -> Result<Vec<u8>, Unfit> {
    if text.starts_with("...") {
        return Err(Unfit::Reason("its path was too long to be recorded whole"));
    }
    if !text.starts_with('/') {
        return Err(Unfit::Reason("names no path"));
    }
    Ok(text.as_bytes().to_vec())
}

fn file_operation(fields: &Fields<'_>) -> Result<FileOperation, Unfit> {
    match fields.file_use() {
        FileUse::Read => Ok(FileOperation::Read),
        FileUse::Change => Ok(FileOperation::Change),
        FileUse::Metadata => Ok(FileOperation::Metadata),
        FileUse::Untold => Err(Unfit::Reason("does not say what was done to the file")),
        FileUse::Close => Err(Unfit::Reason("closes a file, which no rule concerns")),
    }
}

/// A DNS query. `None` for other uses of the network.
fn query(fields: &Fields<'_>) -> Option<OwnedObject> {
    let mut words = fields.text("data").split_whitespace();
    let domain = words.find_map(|word| word.strip_prefix("domain="))?;
    // The word also stands for the family of a socket.
    if domain.starts_with("AF_") || fields.text("resource").contains("type=") {
        return None;
    }
    let readable = fields.text("resource") == domain;
    Some(OwnedObject::Dns(readable.then(|| domain.as_bytes().to_vec())))
}

fn call(fields: &Fields<'_>) -> Result<OwnedObject, Unfit> {
    let mut words = fields.text("data").split_whitespace();
    let name = words.find_map(|word| word.strip_prefix("syscall=SYS_"));
    let name = name.and_then(|name| policy::syscall::canonical(&name.to_ascii_lowercase()));
    let name = name.ok_or(Unfit::Reason("names a system call that is not known"))?.to_owned();
    let path = match fields.text("resource") {
        "" => None,
        resource => Some(path(resource)?),
    };
    Ok(OwnedObject::Syscall { name, path })
}

/// The socket, and another that the same words may mean.
fn socket(fields: &Fields<'_>) -> Result<(Socket, Option<Socket>), Unfit> {
    let words: BTreeMap<String, &str> = [fields.text("data"), fields.text("resource")]
        .into_iter()
        .flat_map(str::split_whitespace)
        .filter_map(|word| word.split_once('='))
        .map(|(key, value)| (key.to_ascii_lowercase(), value))
        .collect();
    let word = |key: &str| words.get(key).copied();
    let family = word("domain").or_else(|| word("sa_family"));
    let family =
        family.or_else(|| Some(fields.detail("sa_family")).filter(|text| !text.is_empty()));
    let family_number = match family {
        None => 2,
        Some(name) => family_of(name).ok_or(Unfit::Reason("has a family that is not known"))?,
    };
    let protocol = word("protocol").map(protocol_of);
    let socket = |family, kind, protocol| Socket { family, kind, protocol };
    if !socket(family_number, 0, 0).is_judged() {
        return Ok((socket(family_number, 0, 0), None));
    }
    match (word("type").map(type_of), protocol) {
        (Some(None), _) | (_, Some(None)) => {
            Err(Unfit::Reason("has a type or protocol that is not known"))
        }
        (Some(Some(kind)), Some(Some(protocol))) => {
            Ok((socket(family_number, kind, protocol), None))
        }
        // Without a protocol and a family it may be a packet socket.
        (Some(Some(kind)), None) => {
            let packet = family.is_none().then_some(socket(17, kind, 0));
            Ok((socket(family_number, kind, 255), packet))
        }
        (None, Some(Some(protocol))) => {
            let kind = if protocol == 17 { 2 } else { 1 };
            Ok((socket(family_number, kind, protocol), None))
        }
        (None, None) => Ok((socket(family_number, 1, 6), Some(socket(family_number, 2, 17)))),
    }
}

fn family_of(name: &str) -> Option<u16> {
    match name {
        "AF_UNSPEC" => Some(0),
        "AF_UNIX" => Some(1),
        "AF_INET" => Some(2),
        "AF_INET6" => Some(10),
        "AF_NETLINK" => Some(16),
        "AF_PACKET" => Some(17),
        // Others are never judged.
        name if name.starts_with("AF_") => Some(u16::MAX),
        number => number.parse().ok(),
    }
}

fn type_of(name: &str) -> Option<u16> {
    // The flags of a new socket may stand behind its type.
    match name.split('|').next().unwrap_or_default() {
        "SOCK_STREAM" => Some(1),
        "SOCK_DGRAM" => Some(2),
        "SOCK_RAW" => Some(3),
        "SOCK_RDM" => Some(4),
        "SOCK_SEQPACKET" => Some(5),
        "SOCK_DCCP" => Some(6),
        "SOCK_PACKET" => Some(10),
        number => number.parse().ok(),
    }
}

fn protocol_of(name: &str) -> Option<u16> {
    match name {
        "ICMP" => Some(1),
        "IGMP" => Some(2),
        "TCP" => Some(6),
        "UDP" => Some(17),
        "DCCP" => Some(33),
        "GRE" => Some(47),
        "ESP" => Some(50),
        "AH" => Some(51),
        "IPv6-ICMP" => Some(58),
        "SCTP" => Some(132),
        "UDPLite" => Some(136),
        "MPTCP" => Some(262),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_two_spellings_of_an_alert_are_one_event() {
        let fed = json!({"UpdatedTime": "t", "HostName": "n", "NamespaceName": "shop", "ContainerName": "web",
            "Labels": "app=web,tier=a", "Type": "MatchedPolicy", "PolicyName": "p", "Operation": "File",
            "ProcessName": "/bin/cat", "Source": "/bin/cat /etc/passwd", "Resource": "/etc/passwd",
            "Data": "lsm=FILE_OPEN", "EventData": {"Flags": "O_RDONLY"}, "Result": "Permission denied"});
        let written = json!({"updatedTime": "t", "hostName": "n", "namespaceName": "shop", "containerName": "web",
            "labels": "app=web,tier=a", "type": "MatchedPolicy", "policyName": "p", "operation": "File",
            "processName": "/bin/cat", "source": "/bin/cat /etc/passwd", "resource": "/etc/passwd",
            "data": "lsm=FILE_OPEN", "eventData": {"Flags": "O_RDONLY"}, "result": "Permission denied"});
        let event = read(&fed).unwrap();
        assert_eq!(read(&written), Ok(event.clone()));
        assert_eq!(event.recorded, Recorded::Denied);
        assert_eq!(event.workload.labels["tier"], "a");
        let access = &event.doing.access;
        assert_eq!(access.subject.as_deref(), Some(&b"/bin/cat"[..]));
        let path = b"/etc/passwd".to_vec();
        assert_eq!(access.object, OwnedObject::File { path, operation: FileOperation::Read });
    }

    #[test]
    fn a_started_program_and_its_caller() {
        let event =
            read(&json!({"Type": "ContainerLog", "ContainerName": "c", "Operation": "Process",
            "ParentProcessName": "/bin/bash", "Source": "/bin/bash", "ProcessName": "/opt/my tool",
            "Resource": "/opt/my tool -a b ...", "TTY": "pts0", "Result": "Passed"}))
            .unwrap();
        let args = vec![b"-a".to_vec(), b"b".to_vec()];
        let path = Some(b"/opt/my tool".to_vec());
        assert_eq!(event.doing.access.object, OwnedObject::Execute { path, args });
        assert_eq!(event.doing.open, [Open::Owner, Open::Arguments]);
        assert!(event.doing.access.terminal);
        assert_eq!(event.recorded, Recorded::Permitted);
    }

    #[test]
    fn sockets_in_the_words_of_alerts_and_logs() {
        let of = |data: &str, resource: &str| {
            let event = json!({"Operation": "Network", "Type": "ContainerLog", "ContainerName": "c",
                "Data": data, "Resource": resource});
            read(&event)
                .map(|event| (event.doing.access.object, event.doing.open.contains(&Open::Subject)))
        };
        let socket = |family, kind, protocol| {
            Ok((OwnedObject::Socket(Socket { family, kind, protocol }), true))
        };
        assert_eq!(of("lsm=SOCKET_CREATE", "protocol=TCP type=SOCK_STREAM"), socket(2, 1, 6));
        assert_eq!(of("", "domain=AF_INET6 type=SOCK_DGRAM protocol=UDP"), socket(10, 2, 17));
        assert_eq!(
            of("kprobe=tcp_connect domain=AF_INET", "remoteip=1.2.3.4 port=80 protocol=TCP"),
            socket(2, 1, 6)
        );
        assert_eq!(of("", "sa_family=AF_UNIX sun_path=/run/x"), socket(1, 0, 0));
        assert_eq!(of("", "domain=AF_PACKET type=SOCK_RAW protocol=768"), socket(17, 3, 768));
        assert!(of("", "protocol=WHAT type=SOCK_RAW").is_err());
    }

    #[test]
    fn names_and_system_calls() {
        let of = |event: &Value| read(event).map(|event| event.doing.access.object);
        let asked = json!({"Operation": "Network", "Data": "lsm=SOCKET_SENDMSG domain=db.example",
            "Resource": "db.example"});
        assert_eq!(of(&asked), Ok(OwnedObject::Dns(Some(b"db.example".to_vec()))));
        let unread = json!({"Operation": "Network", "Data": "lsm=SOCKET_SENDMSG domain=",
            "Resource": "a question that cannot be read"});
        assert_eq!(of(&unread), Ok(OwnedObject::Dns(None)));
        let called =
            json!({"Operation": "Syscall", "Data": "syscall=SYS_UNLINK", "Resource": "/srv/x"});
        let path = Some(b"/srv/x".to_vec());
        assert_eq!(of(&called), Ok(OwnedObject::Syscall { name: "unlink".into(), path }));
    }

    #[test]
    fn what_is_no_access_says_why() {
        assert_eq!(read(&json!({"Type": "SystemEvent"})), Err(Unfit::Own));
        assert_eq!(read(&json!([])), Err(Unfit::Reason("is no JSON object")));
        let cut = json!({"Operation": "File", "Resource": ".../a", "Data": "lsm=FILE_OPEN"});
        assert!(matches!(read(&cut), Err(Unfit::Reason(reason)) if reason.contains("too long")));
        let unlink = json!({"Operation": "File", "Resource": "/a", "Data": "lsm=FILE_UNLINK"});
        let OwnedObject::File { operation, .. } = read(&unlink).unwrap().doing.access.object else {
            panic!("no file");
        };
        assert_eq!(operation, FileOperation::Change);
    }
}
