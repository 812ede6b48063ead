//! What an event says was done, in the terms that people ask in.

use crate::event::{Event, FileUse, Verdict};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Denied,
    Audited,
    Ran,
    Read,
    Wrote,
    Connected,
    Listened,
    Socket,
    Capability,
    Syscall,
}

impl Kind {
    pub(super) const ALL: [Self; 10] = [
        Self::Denied,
        Self::Audited,
        Self::Ran,
        Self::Read,
        Self::Wrote,
        Self::Connected,
        Self::Listened,
        Self::Socket,
        Self::Capability,
        Self::Syscall,
    ];

    /// The key of the JSON object.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "Denied",
            Self::Audited => "Audited",
            Self::Ran => "Ran",
            Self::Read => "Read",
            Self::Wrote => "Wrote",
            Self::Connected => "Connected",
            Self::Listened => "Listened",
            Self::Socket => "Sockets",
            Self::Capability => "Capabilities",
            Self::Syscall => "Syscalls",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Doing {
    pub(super) kind: Kind,
    /// Who acted.
    pub(super) process: String,
    pub(super) object: String,
    /// Of what was denied or audited: the policy, and what the event's `Operation` is.
    pub(super) policy: String,
    pub(super) operation: String,
}

impl Doing {
    /// None, one, or, of what a policy audited, two: it happened all the same.
    pub(super) fn of(event: &Event, by_directory: bool) -> Vec<Self> {
        let Some((kind, object)) = done(event) else { return vec![] };
        let object = match kind {
            Kind::Read | Kind::Wrote if by_directory => directory(&object).to_owned(),
            _ => object,
        };
        let process = process(event);
        let plain = Self {
            kind,
            process: process.clone(),
            object: object.clone(),
            policy: String::new(),
            operation: String::new(),
        };
        let Some(Verdict { policy, .. }) = &event.alert else { return vec![plain] };
        let judged = |kind| Self {
            kind,
            process,
            object,
            policy: policy.clone(),
            operation: event.operation.clone(),
        };
        if event.passed() { vec![judged(Kind::Audited), plain] } else { vec![judged(Kind::Denied)] }
    }
}

/// For an exec it is the program that called it.
fn process(event: &Event) -> String {
    match event.operation.as_str() {
        "Process" => event.source.split(' ').next().unwrap_or_default().to_owned(),
        _ => event.process.clone(),
    }
}

fn done(event: &Event) -> Option<(Kind, String)> {
    Some(match event.operation.as_str() {
        "Process" => (Kind::Ran, event.process.clone()),
        "File" => match event.file_use? {
            FileUse::Change => (Kind::Wrote, event.resource.clone()),
            FileUse::Read | FileUse::Metadata | FileUse::Untold => {
                (Kind::Read, event.resource.clone())
            }
            FileUse::Close => return None,
        },
        "Network" => network(event)?,
        "Capabilities" => (Kind::Capability, event.resource.clone()),
        "Syscall" => (Kind::Syscall, call(event)),
        _ => return None,
    })
}

/// The call's name, and its path if there is one.
fn call(event: &Event) -> String {
    let word = event.data.split_whitespace().find_map(|word| word.strip_prefix("syscall=SYS_"));
    let name = word.map_or_else(|| event.data.clone(), str::to_lowercase);
    [name.as_str(), &event.resource].join(" ").trim_end().to_owned()
}

fn network(event: &Event) -> Option<(Kind, String)> {
    let words = || event.data.split_whitespace().chain(event.resource.split_whitespace());
    let word = |key: &str| {
        words().filter_map(|word| word.split_once('=')).find(|(k, _)| *k == key).map(|(_, v)| v)
    };
    // The agent tells of each connection of TCP twice, as the call and in this form.
    if word("kprobe").is_some() {
        return None;
    }
    let what = word("syscall").or_else(|| word("lsm")).unwrap_or_default();
    let listens = ["BIND", "LISTEN", "ACCEPT"].iter().any(|call| what.contains(call));
    let peer = match (word("sin_addr"), word("sin_port"), word("sun_path")) {
        (Some(ip), Some(port), _) if ip.contains(':') => Some(format!("[{ip}]:{port}")),
        (Some(ip), Some(port), _) => Some(format!("{ip}:{port}")),
        (_, _, Some(path)) => Some(format!("unix:{path}")),
        _ => None,
    };
    let kind = if listens { Kind::Listened } else { Kind::Connected };
    Some(match peer {
        Some(peer) => (kind, peer),
        // A name that was asked for stands alone.
        None if !event.resource.contains('=') && !event.resource.is_empty() => {
            (Kind::Connected, format!("name {}", event.resource))
        }
        None if listens => (kind, event.resource.clone()),
        None => (Kind::Socket, socket(&event.resource)),
    })
}

/// `AF_INET SOCK_STREAM TCP`, whatever the order of the words.
fn socket(resource: &str) -> String {
    let values = ["domain", "type", "protocol"].into_iter().filter_map(|key| {
        let mut pairs = resource.split_whitespace().filter_map(|word| word.split_once('='));
        pairs.find(|(k, _)| *k == key).map(|(_, value)| value)
    });
    values.collect::<Vec<_>>().join(" ")
}

/// With a slash behind it.
fn directory(path: &str) -> &str {
    path.rfind('/').map_or(path, |slash| &path[..=slash])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(event: &Value) -> Vec<(Kind, String, String)> {
        let doings = Doing::of(&Event::read(event).unwrap(), false);
        doings.into_iter().map(|doing| (doing.kind, doing.process, doing.object)).collect()
    }

    fn network(data: &str, resource: &str) -> Option<(Kind, String)> {
        let event = json!({"Operation": "Network", "ProcessName": "/bin/nc", "Data": data, "Resource": resource});
        of(&event).pop().map(|(kind, _, object)| (kind, object))
    }

    #[test]
    fn a_program_that_another_ran() {
        let event = json!({"Operation": "Process", "Source": "/bin/bash -l", "ProcessName": "/usr/bin/id",
            "Resource": "/usr/bin/id -u", "Result": "Passed"});
        assert_eq!(of(&event), [(Kind::Ran, "/bin/bash".into(), "/usr/bin/id".into())]);
    }

    #[test]
    fn what_is_denied_did_not_happen_and_what_is_audited_did() {
        let mut event = json!({"Operation": "File", "ProcessName": "/bin/cat", "Resource": "/etc/shadow",
            "Data": "lsm=FILE_OPEN", "PolicyName": "secrets", "Result": "Permission denied"});
        let object = ("/bin/cat".to_owned(), "/etc/shadow".to_owned());
        assert_eq!(of(&event), [(Kind::Denied, object.0.clone(), object.1.clone())]);
        event["Result"] = json!("Passed");
        let audited = (Kind::Audited, object.0.clone(), object.1.clone());
        assert_eq!(of(&event), [audited, (Kind::Read, object.0, object.1)]);
    }

    #[test]
    fn the_network() {
        let told = |kind, object: &str| Some((kind, object.to_owned()));
        assert_eq!(
            network("syscall=SYS_CONNECT fd=5", "sa_family=AF_INET sin_port=53 sin_addr=10.0.0.10"),
            told(Kind::Connected, "10.0.0.10:53")
        );
        assert_eq!(
            network("syscall=SYS_BIND fd=5", "sa_family=AF_INET6 sin_port=80 sin_addr=::1"),
            told(Kind::Listened, "[::1]:80")
        );
        assert_eq!(
            network("syscall=SYS_CONNECT fd=5", "sa_family=AF_UNIX sun_path=/run/x"),
            told(Kind::Connected, "unix:/run/x")
        );
        assert_eq!(
            network("syscall=SYS_SOCKET", "domain=AF_INET type=SOCK_STREAM protocol=TCP"),
            told(Kind::Socket, "AF_INET SOCK_STREAM TCP")
        );
        assert_eq!(
            network("lsm=SOCKET_CREATE", "protocol=UDP type=SOCK_DGRAM"),
            told(Kind::Socket, "SOCK_DGRAM UDP")
        );
        assert_eq!(
            network("lsm=SOCKET_SENDMSG domain=db.example", "db.example"),
            told(Kind::Connected, "name db.example")
        );
        let twice = "kprobe=tcp_connect domain=AF_INET";
        assert_eq!(network(twice, "remoteip=10.0.0.10 port=80 protocol=TCP"), None);
    }

    #[test]
    fn calls_and_directories() {
        let event = json!({"Operation": "Syscall", "ProcessName": "/bin/x", "Data": "syscall=SYS_PTRACE", "Resource": ""});
        assert_eq!(of(&event), [(Kind::Syscall, "/bin/x".into(), "ptrace".into())]);
        assert_eq!((directory("/a/b"), directory("x")), ("/a/", "x"));
    }
}
