//! Rules and accesses in words.

use std::fmt::Write as _;

use policy::{Capability, PathObject, Protocol};
use ruleset::{Access, AccessObject, Class, FileOperation, Object, Rule, Socket};

use crate::collection::Entry;

pub(crate) fn class(class: Class) -> &'static str {
    match class {
        Class::Process => "programs",
        Class::File => "files",
        Class::Network => "the network",
        Class::Dns => "DNS queries",
        Class::Capabilities => "capabilities",
        Class::Syscalls => "system calls",
        Class::Presets => "presets",
    }
}

pub(crate) fn posture(class: Class) -> &'static str {
    match class {
        Class::Process => "process",
        Class::File => "file",
        Class::Network | Class::Dns => "network",
        Class::Capabilities | Class::Syscalls | Class::Presets => "capabilities",
    }
}

/// ``read-only `Block` of `/etc/passwd` from `/bin/cat` ``
pub(crate) fn rule(rule: &Rule) -> String {
    let mut words = String::new();
    for (modifier, is_there) in [
        ("read-only ", rule.read_only),
        ("owner-only ", rule.owner_only),
        ("terminal ", rule.terminal_only),
    ] {
        words.push_str(if is_there { modifier } else { "" });
    }
    let _ = write!(words, "`{}` of {}", rule.action.as_str(), object(&rule.object));
    if rule.allowed_args.is_some() {
        words.push_str(" with its arguments");
    }
    for (number, source) in rule.source.iter().flatten().enumerate() {
        let _ = write!(words, "{} `{source}`", if number == 0 { " from" } else { " or" });
    }
    words
}

fn object(object: &Object) -> String {
    match object {
        Object::Process(paths) | Object::File(paths) => match &paths.named {
            PathObject::Path(text) | PathObject::ExecName(text) | PathObject::Pattern(text) => {
                format!("`{text}`")
            }
            PathObject::Directory { dir, recursive: true } => format!("`{dir}` and all below"),
            PathObject::Directory { dir, recursive: false } => format!("`{dir}`"),
        },
        Object::Network(protocol) => format!("`{}`", protocol.as_str()),
        Object::Dns(domain) => format!("`{domain}`"),
        Object::Capability(number) => format!("`{}`", Capability(*number).name()),
        Object::Preset(preset) => format!("preset `{}`", preset.as_str()),
        Object::Syscall(watched) => {
            let calls: Vec<_> = watched.calls.iter().map(|call| format!("`{call}`")).collect();
            calls.join(", ")
        }
    }
}

/// Names a rule to the reader of a finding about `reader`: shortly, if both are of one policy.
pub(crate) fn reference(entry: &Entry, named: &Rule, reader: &Entry) -> String {
    let (file, at, place) = entry.place_of(named);
    if entry.policy.id == reader.policy.id {
        return format!("{place} on line {}, {}", at.line, rule(named));
    }
    format!("{}, {place} ({file}:{}), {}", identity(entry), at.line, rule(named))
}

/// `KubeArmorPolicy web in shop (web.yaml:1)`
pub(crate) fn policy(entry: &Entry) -> String {
    format!("{} ({}:{})", identity(entry), entry.file, entry.located.at.line)
}

fn identity(entry: &Entry) -> String {
    let id = &entry.policy.id;
    let namespace = id.namespace.as_ref().map(|name| format!(" in {name}")).unwrap_or_default();
    format!("{} {}{namespace}", id.kind, id.name)
}

/// ``reading `/etc/passwd` from `/bin/cat` ``, as far as the rules look at it.
pub(crate) fn access(access: &Access<'_>, rules: [&Rule; 2]) -> String {
    let matters = |condition: fn(&Rule) -> bool| rules.into_iter().any(condition);
    let arguments = matters(|rule| rule.allowed_args.is_some());
    let mut words = match &access.object {
        AccessObject::Execute { path, args } => {
            let mut words = format!("running {}", path_text(path.unwrap_or_default()));
            let args: Vec<_> = args.iter().map(|arg| path_text(arg)).collect();
            if arguments && args.is_empty() {
                words.push_str(" without arguments");
            } else if arguments {
                words = format!("{words} with {}", args.join(" "));
            }
            words
        }
        AccessObject::File { path, operation: FileOperation::Change } => {
            format!("changing {}", path_text(path))
        }
        AccessObject::File { path, .. } => format!("reading {}", path_text(path)),
        AccessObject::Socket(of) => socket(*of),
        AccessObject::Capability(number) => {
            format!("use of `{}`", Capability(*number).name())
        }
        AccessObject::Preset(preset) => format!("what preset `{}` watches for", preset.as_str()),
        AccessObject::Dns(Some(name)) => format!("asking for {}", path_text(name)),
        AccessObject::Dns(None) => "a query whose name cannot be read".to_owned(),
        AccessObject::Syscall { name, .. } => format!("calling `{name}`"),
    };
    if let Some(subject) = access.subject.filter(|_| matters(|rule| rule.source.is_some())) {
        words = format!("{words} from {}", path_text(subject));
    }
    if matters(|rule| rule.owner_only) {
        words.push_str(if access.owner { " by its owner" } else { " by another than its owner" });
    }
    if matters(|rule| rule.terminal_only) {
        words.push_str(if access.terminal { " on a terminal" } else { " without a terminal" });
    }
    words
}

fn path_text(bytes: &[u8]) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => bytes.escape_ascii().to_string(),
    };
    format!("`{text}`")
}

fn socket(socket: Socket) -> String {
    let kind = match socket.kind {
        1 => "stream",
        2 => "datagram",
        3 => "raw",
        4 => "rdm",
        5 => "seqpacket",
        6 => "dccp",
        10 => "packet",
        _ => "other",
    };
    let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Icmp, Protocol::Icmpv6, Protocol::Sctp]
        .into_iter()
        .find(|protocol| socket.is_of(*protocol));
    let family = if socket.family == 17 { "packet" } else { "IP" };
    match protocol {
        Some(protocol) => format!("a {kind} socket of {}", protocol.as_str()),
        None => format!("a {kind} socket of the {family} family"),
    }
}
