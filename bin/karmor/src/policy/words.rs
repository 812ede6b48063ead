//! Rules, accesses, workloads and decisions in words.

use std::{collections::BTreeSet, fmt::Write as _};

use anstyle::{AnsiColor, Style};
use policy::{Capability, PathObject, PolicyId};
use ruleset::{
    Class, DecidedBy, Decision, FileOperation, Object, Origin, OwnedAccess, OwnedObject, Posture,
    Rule, RuleSet, Socket, Workload, WorkloadKind,
};
use serde_json::{Value, json};

use super::set::PolicySet;

pub(super) const DENIED: Style = AnsiColor::Red.on_default().bold();
pub(super) const PERMITTED: Style = AnsiColor::Green.on_default().bold();
pub(super) const ALERTED: Style = AnsiColor::Yellow.on_default().bold();
pub(super) const FAINT: Style = Style::new().dimmed();

/// Bytes that are no text are escaped.
pub(super) fn text(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => bytes.escape_ascii().to_string(),
    }
}

/// `1 difference`, `2 differences`
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

pub(super) fn policy_id(id: &PolicyId) -> String {
    match &id.namespace {
        Some(namespace) => format!("{} {namespace}/{}", id.kind, id.name),
        None => format!("{} {}", id.kind, id.name),
    }
}

pub(super) fn policy(origin: &Origin) -> String {
    policy_id(&PolicyId {
        kind: origin.kind,
        namespace: origin.namespace.clone(),
        name: origin.policy.clone(),
    })
}

/// `KubeArmorPolicy shop/web, spec.file.matchPaths[0] (web.yaml:12)`
pub(super) fn place(origin: &Origin, set: &PolicySet) -> String {
    let line = set.line(origin).map(|line| format!(" ({line})")).unwrap_or_default();
    format!("{}, {}{line}", policy(origin), origin.place)
}

/// What a rule says, in a line.
pub(super) fn rule(rule: &Rule) -> String {
    let mut out = format!("{} {}", rule.action.as_str(), object(&rule.object));
    if let Some(source) = &rule.source {
        let _ = write!(out, " from {}", listed(source));
    }
    let flags = [
        (rule.read_only, "readOnly"),
        (rule.owner_only, "ownerOnly"),
        (rule.terminal_only, "pts: false"),
    ];
    for (_, flag) in flags.into_iter().filter(|(written, _)| *written) {
        let _ = write!(out, ", {flag}");
    }
    if let Some(allowed) = &rule.allowed_args {
        let _ = write!(out, ", allowedArgs [{}]", listed(allowed));
    }
    out
}

fn listed(items: &BTreeSet<String>) -> String {
    const SHOWN: usize = 4;
    let mut out = items.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if items.len() > SHOWN {
        let _ = write!(out, " and {} more", items.len() - SHOWN);
    }
    out
}

fn object(object: &Object) -> String {
    match object {
        Object::Process(paths) => format!("running {}", named(&paths.named)),
        Object::File(paths) => named(&paths.named),
        Object::Network(protocol) => format!("protocol {}", protocol.as_str()),
        Object::Dns(domain) => format!("domain {domain}"),
        Object::Capability(number) => capability(*number),
        Object::Preset(preset) => format!("preset {}", preset.as_str()),
        Object::Syscall(watched) => {
            let on = watched.path.as_ref().map(|paths| format!(" on {}", named(&paths.named)));
            format!("calling {}{}", listed(&watched.calls), on.unwrap_or_default())
        }
    }
}

fn named(object: &PathObject) -> String {
    match object {
        PathObject::Path(path) => path.clone(),
        PathObject::ExecName(name) => format!("programs called {name}"),
        PathObject::Pattern(pattern) => format!("pattern {pattern}"),
        PathObject::Directory { dir, recursive: true } => format!("{dir} and all below"),
        PathObject::Directory { dir, recursive: false } => format!("{dir} and its entries"),
    }
}

pub(super) fn capability(number: u8) -> String {
    match Capability::all().find(|capability| capability.0 == number) {
        Some(capability) => capability.name().to_owned(),
        None => format!("CAP_{number}"),
    }
}

/// `running /bin/sh -c id, by /usr/sbin/nginx, on a terminal`
pub(super) fn access(access: &OwnedAccess) -> String {
    let mut out = accessed(&access.object);
    if let Some(subject) = &access.subject {
        let _ = write!(out, " by {}", text(subject));
    }
    if access.owner {
        out.push_str(", as its owner");
    }
    if access.terminal {
        out.push_str(", on a terminal");
    }
    out
}

pub(super) fn accessed(object: &OwnedObject) -> String {
    match object {
        OwnedObject::Execute { path, args } => {
            let path =
                path.as_ref().map_or_else(|| "a program without a name".into(), |path| text(path));
            let args = args.iter().map(|arg| format!(" {}", text(arg)));
            format!("running {path}{}", args.collect::<String>())
        }
        OwnedObject::File { path, operation } => format!("{} {}", verb(*operation), text(path)),
        OwnedObject::Socket(socket) => format!("using a socket: {}", self::socket(*socket)),
        OwnedObject::Dns(Some(name)) => format!("asking for the name {}", text(name)),
        OwnedObject::Dns(None) => "asking for a name that cannot be read".to_owned(),
        OwnedObject::Syscall { name, path } => {
            let on = path.as_ref().map(|path| format!(" on {}", text(path)));
            format!("calling {name}{}", on.unwrap_or_default())
        }
        OwnedObject::Capability(number) => format!("using {}", capability(*number)),
        OwnedObject::Preset(preset) => format!("doing what preset {} watches for", preset.as_str()),
    }
}

fn verb(operation: FileOperation) -> &'static str {
    match operation {
        FileOperation::Read => "reading",
        FileOperation::Change => "changing",
        FileOperation::Metadata => "looking at the metadata of",
    }
}

fn socket(socket: Socket) -> String {
    let family = match socket.family {
        2 => "IPv4".to_owned(),
        10 => "IPv6".to_owned(),
        17 => "packet".to_owned(),
        1 => "local".to_owned(),
        16 => "netlink".to_owned(),
        other => format!("family {other}"),
    };
    let kind = match socket.kind {
        1 => "stream".to_owned(),
        2 => "datagram".to_owned(),
        3 => "raw".to_owned(),
        4 => "rdm".to_owned(),
        5 => "seqpacket".to_owned(),
        6 => "dccp".to_owned(),
        10 => "obsolete packet".to_owned(),
        other => format!("type {other}"),
    };
    let protocol = match (socket.family, socket.protocol) {
        (2 | 10, 0) => String::new(),
        (2 | 10, 1) => ", ICMP".to_owned(),
        (2 | 10, 6) => ", TCP".to_owned(),
        (2 | 10, 17) => ", UDP".to_owned(),
        (2 | 10, 58) => ", ICMPv6".to_owned(),
        (2 | 10, 132) => ", SCTP".to_owned(),
        (2 | 10, other) => format!(", protocol {other}"),
        _ => String::new(),
    };
    format!("{family} {kind}{protocol}")
}

pub(super) fn class(class: Class) -> &'static str {
    match class {
        Class::Process => "process",
        Class::File => "file",
        Class::Network => "network",
        Class::Dns => "dns",
        Class::Capabilities => "capabilities",
        Class::Syscalls => "syscalls",
        Class::Presets => "presets",
    }
}

pub(super) fn posture(posture: Posture) -> &'static str {
    match posture {
        Posture::Allow => "allow",
        Posture::Audit => "audit",
        Posture::Block => "block",
    }
}

pub(super) fn workload(workload: &Workload) -> String {
    let labels: Vec<_> = (workload.labels.iter())
        .filter(|(key, _)| {
            workload.kind == WorkloadKind::Container || !key.ends_with("io/hostname")
        })
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut out = match workload.kind {
        WorkloadKind::Container => {
            format!("container {} in namespace {}", workload.name, workload.namespace)
        }
        WorkloadKind::Host => format!("host {}", workload.name),
    };
    if !labels.is_empty() {
        let _ = write!(out, ", labels {}", labels.join(","));
    }
    out
}

/// `permitted`, `permitted with an alert` or `denied`, and its colour.
pub(super) fn verdict(decision: Decision) -> (&'static str, Style) {
    match (decision.permitted, decision.alert) {
        (false, _) => ("denied", DENIED),
        (true, Some(_)) => ("permitted with an alert", ALERTED),
        (true, None) => ("permitted", PERMITTED),
    }
}

/// Who decided, in a line: the rule and its place, the posture, or that nothing has a say.
pub(super) fn decider(by: Option<DecidedBy>, rules: &RuleSet, set: &PolicySet) -> String {
    match by {
        None => "no rule, and nothing of this class is restricted".to_owned(),
        Some(DecidedBy::Posture(class)) => format!(
            "the default posture of class {}: {}",
            self::class(class),
            posture(rules.postures.of(class))
        ),
        Some(DecidedBy::Rule(id)) => {
            let rule = &rules.rules[id as usize];
            format!("{}: {}", place(&rule.origin, set), self::rule(rule))
        }
    }
}

pub(super) fn workload_json(workload: &Workload) -> Value {
    json!({
        "kind": match workload.kind {
            WorkloadKind::Container => "container",
            WorkloadKind::Host => "host",
        },
        "name": workload.name,
        "namespace": workload.namespace,
        "labels": workload.labels,
    })
}

pub(super) fn access_json(access: &OwnedAccess) -> Value {
    let object = match &access.object {
        OwnedObject::Execute { path, args } => json!({
            "operation": "exec",
            "path": path.as_ref().map(|path| text(path)),
            "args": args.iter().map(|arg| text(arg)).collect::<Vec<_>>(),
        }),
        OwnedObject::File { path, operation } => json!({
            "operation": match operation {
                FileOperation::Read => "read",
                FileOperation::Change => "write",
                FileOperation::Metadata => "stat",
            },
            "path": text(path),
        }),
        OwnedObject::Socket(socket) => json!({
            "operation": "socket",
            "family": socket.family,
            "type": socket.kind,
            "protocol": socket.protocol,
        }),
        OwnedObject::Preset(preset) => json!({"operation": "preset", "preset": preset.as_str()}),
        OwnedObject::Dns(name) => {
            json!({"operation": "dns", "name": name.as_ref().map(|name| text(name))})
        }
        OwnedObject::Syscall { name, path } => json!({
            "operation": "syscall",
            "name": name,
            "path": path.as_ref().map(|path| text(path)),
        }),
        OwnedObject::Capability(number) => {
            json!({"operation": "capability", "capability": capability(*number)})
        }
    };
    let mut out = object;
    out["from"] = json!(access.subject.as_ref().map(|subject| text(subject)));
    out["terminal"] = json!(access.terminal);
    out["owner"] = json!(access.owner);
    out["words"] = json!(self::access(access));
    out
}

pub(super) fn rule_json(rule: &Rule, set: &PolicySet) -> Value {
    json!({
        "kind": rule.origin.kind.as_str(),
        "namespace": rule.origin.namespace,
        "policy": rule.origin.policy,
        "place": rule.origin.place.0,
        "line": set.line(&rule.origin),
        "action": rule.action.as_str(),
        "rule": self::rule(rule),
    })
}

pub(super) fn decider_json(by: Option<DecidedBy>, rules: &RuleSet, set: &PolicySet) -> Value {
    match by {
        None => Value::Null,
        Some(DecidedBy::Posture(class)) => json!({
            "posture": posture(rules.postures.of(class)),
            "class": self::class(class),
        }),
        Some(DecidedBy::Rule(id)) => rule_json(&rules.rules[id as usize], set),
    }
}

pub(super) fn decision_json(decision: Decision, rules: &RuleSet, set: &PolicySet) -> Value {
    json!({
        "verdict": if decision.permitted { "permitted" } else { "denied" },
        "decidedBy": decider_json(decision.by, rules, set),
        "alert": decider_json(decision.alert, rules, set),
    })
}
