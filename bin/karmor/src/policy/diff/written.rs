//! Rules that `decide` does not know, compared as they are written: native `AppArmor` text, devices, the firewall.
//!
//! Whom they concern counts with what they say. Order, and the policy and the file that they stand in, do not.

use std::{
    collections::{BTreeSet, HashSet},
    fmt::Write as _,
    io::{self, Write},
};

use policy::{
    Action, Attributes, Direction, Expression, ExpressionKey, FirewallLevel, FirewallPort,
    FirewallProtocol, FirewallRule, Kind, Operator, Place, Policy, Selector,
};
use ruleset::{EnforcerKind, Origin, Standing, account};
use serde_json::{Value, json};

use crate::policy::{
    set::PolicySet,
    words::{self, ALERTED, FAINT},
};

/// What is on one side only, or on both in other words.
pub(super) struct Rewritten {
    old: Option<Statement>,
    new: Option<Statement>,
}

/// A rule with all that it depends on.
#[derive(Clone, Debug)]
struct Statement {
    meaning: Meaning,
    origin: Origin,
    /// Why nobody decides by it.
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Meaning {
    kind: Kind,
    namespace: Option<String>,
    selector: Vec<String>,
    content: Content,
    /// What alerts say: severity, tags, message and the policy. Empty unless it is to count.
    alert: Option<(Attributes, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Content {
    AppArmor(String),
    Device {
        action: Action,
        class: String,
        sub_class: Option<i32>,
        protocol: Option<i32>,
        level: Option<i32>,
    },
    Firewall(Traffic),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Traffic {
    action: Action,
    direction: Direction,
    level: FirewallLevel,
    peers: BTreeSet<String>,
    interfaces: BTreeSet<String>,
    ports: BTreeSet<String>,
    limit: Option<u64>,
    duration: Option<u64>,
}

/// The differences between two sets of policies, in the order of their places.
pub(super) fn compare(sets: &[PolicySet; 2], alerts: bool) -> Vec<Rewritten> {
    let [old, new] = sets.each_ref().map(|set| statements(set, alerts));
    let only = |these: &[Statement], those: &[Statement]| -> Vec<Statement> {
        let those: HashSet<&Meaning> = those.iter().map(|statement| &statement.meaning).collect();
        let lacking = these.iter().filter(|statement| !those.contains(&statement.meaning));
        lacking.cloned().collect()
    };
    let (gone, mut come) = (only(&old, &new), only(&new, &old));
    let mut all = Vec::new();
    for old in gone {
        let successor = come.iter().position(|new| new.has_place_of(&old));
        all.push(Rewritten { new: successor.map(|at| come.remove(at)), old: Some(old) });
    }
    all.extend(come.into_iter().map(|new| Rewritten { old: None, new: Some(new) }));
    all.sort_by_cached_key(|difference| {
        difference.sides().map(|statement| statement.map(Statement::id))
    });
    all
}

fn statements(set: &PolicySet, alerts: bool) -> Vec<Statement> {
    set.policies.iter().flat_map(|policy| of_policy(policy, alerts)).collect()
}

fn of_policy(policy: &Policy, alerts: bool) -> Vec<Statement> {
    let spec = &policy.spec;
    let selector = selector(&spec.selector);
    let accounts = account(policy, EnforcerKind::Bpf);
    let statement = |place: &Place, attributes: &Attributes, content: Content| {
        let standing = accounts.iter().find(|rule| rule.place == *place).map(|rule| &rule.standing);
        let alert = alerts.then(|| (attributes.clone(), policy.id.name.clone()));
        Statement {
            meaning: Meaning {
                kind: policy.id.kind,
                namespace: policy.id.namespace.clone(),
                selector: selector.clone(),
                content,
                alert,
            },
            origin: Origin {
                kind: policy.id.kind,
                namespace: policy.id.namespace.clone(),
                policy: policy.id.name.clone(),
                place: place.clone(),
                severity: attributes.severity,
                tags: attributes.tags.clone(),
                message: attributes.message.clone(),
            },
            reason: standing.and_then(Standing::reason).unwrap_or_default().to_owned(),
        }
    };
    let native = spec.apparmor.iter().map(|text| {
        let text = text.trim().to_owned();
        statement(&Place("spec.apparmor".into()), &spec.attributes, Content::AppArmor(text))
    });
    let devices = spec.devices.iter().map(|rule| {
        let content = Content::Device {
            action: rule.attributes.action,
            class: rule.class.to_ascii_uppercase(),
            sub_class: rule.sub_class,
            protocol: rule.protocol,
            level: rule.level,
        };
        statement(&rule.place, &rule.attributes, content)
    });
    let firewall = spec.firewall.iter().map(|rule| {
        let traffic = traffic(rule, spec.firewall_level);
        statement(&rule.place, &rule.attributes, Content::Firewall(traffic))
    });
    native.chain(devices).chain(firewall).collect()
}

fn traffic(rule: &FirewallRule, level: FirewallLevel) -> Traffic {
    Traffic {
        action: rule.attributes.action,
        direction: rule.direction,
        level,
        peers: rule.peers.iter().cloned().collect(),
        interfaces: rule.interfaces.iter().cloned().collect(),
        ports: rule.ports.iter().map(port).collect(),
        limit: rule.limit,
        duration: rule.duration,
    }
}

fn port(FirewallPort { port, end_port, protocol }: &FirewallPort) -> String {
    let protocol = match protocol {
        FirewallProtocol::Tcp => "TCP",
        FirewallProtocol::Udp => "UDP",
        FirewallProtocol::Sctp => "SCTP",
    };
    let end = end_port.map(|end| format!("-{end}")).unwrap_or_default();
    format!("{protocol} {port}{end}")
}

/// Its conditions in words, sorted: all of them hold, so their order means nothing.
fn selector(selector: &Selector) -> Vec<String> {
    let labels = selector.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
    let containers = selector.containers.iter().map(|filter| format!("container {filter}"));
    let expressions = selector.expressions.iter().map(expression);
    let conditions: BTreeSet<String> = labels.chain(containers).chain(expressions).collect();
    conditions.into_iter().collect()
}

fn expression(Expression { key, operator, values }: &Expression) -> String {
    let key = match key {
        ExpressionKey::Label => "label",
        ExpressionKey::Namespace => "namespace",
    };
    let operator = match operator {
        Operator::In => "in",
        Operator::NotIn => "not in",
    };
    let values: BTreeSet<&str> = values.iter().map(String::as_str).collect();
    let values: Vec<&str> = values.into_iter().collect();
    format!("{key} {operator} [{}]", values.join(", "))
}

impl Statement {
    fn id(&self) -> (Kind, Option<String>, String, Place) {
        let Origin { kind, namespace, policy, place, .. } = self.origin.clone();
        (kind, namespace, policy, place)
    }

    fn has_place_of(&self, other: &Self) -> bool {
        self.id() == other.id()
    }

    fn whom(&self) -> String {
        let all = if self.meaning.selector.is_empty() {
            "all".to_owned()
        } else {
            self.meaning.selector.join(", ")
        };
        match &self.meaning.namespace {
            Some(namespace) => format!("{all} in namespace {namespace}"),
            None => all,
        }
    }

    fn json(&self, set: &PolicySet) -> Value {
        json!({
            "kind": self.origin.kind.as_str(),
            "namespace": self.origin.namespace,
            "policy": self.origin.policy,
            "place": self.origin.place.0,
            "line": set.line(&self.origin),
            "rule": self.meaning.content.words(),
            "for": self.whom(),
        })
    }
}

impl Content {
    fn class(&self) -> &'static str {
        match self {
            Self::AppArmor(_) => "apparmor",
            Self::Device { .. } => "device",
            Self::Firewall(_) => "firewall",
        }
    }

    fn words(&self) -> String {
        match self {
            // One line of an answer must not look like several.
            Self::AppArmor(text) => {
                let lines: Vec<&str> = text.lines().map(str::trim).collect();
                format!("AppArmor's own `{}`", words::text(lines.join(" ").as_bytes()))
            }
            Self::Device { action, class, sub_class, protocol, level } => {
                let mut out = format!("{} devices of class {class}", action.as_str());
                for (name, value) in
                    [("subclass", sub_class), ("protocol", protocol), ("level", level)]
                {
                    if let Some(value) = value {
                        let _ = write!(out, ", {name} {value}");
                    }
                }
                out
            }
            Self::Firewall(traffic) => traffic.words(),
        }
    }
}

impl Traffic {
    fn words(&self) -> String {
        let (way, peer) = match self.direction {
            Direction::Ingress => ("ingress", "from"),
            Direction::Egress => ("egress", "to"),
        };
        let mut out = format!("{} {way}", self.action.as_str());
        for (word, items) in [(peer, &self.peers), ("on", &self.interfaces), ("ports", &self.ports)]
        {
            if !items.is_empty() {
                let items: Vec<&str> = items.iter().map(String::as_str).collect();
                let _ = write!(out, " {word} {}", items.join(", "));
            }
        }
        if let Some(limit) = self.limit {
            let shared = match self.level {
                FirewallLevel::Pod => " for each pod",
                FirewallLevel::Policy => " for all together",
                FirewallLevel::Node => "",
            };
            let _ = write!(out, ", {limit} bytes{shared}");
        }
        if let Some(seconds) = self.duration {
            let _ = write!(out, " in {seconds} s");
        }
        out
    }
}

impl Rewritten {
    pub(super) const WORDS: [&'static str; 3] = ["taken out", "added", "written otherwise"];

    pub(super) fn word(&self) -> &'static str {
        let [removed, added, changed] = Self::WORDS;
        match (&self.old, &self.new) {
            (Some(_), Some(_)) => changed,
            (Some(_), None) => removed,
            (None, _) => added,
        }
    }

    fn sides(&self) -> [Option<&Statement>; 2] {
        [self.old.as_ref(), self.new.as_ref()]
    }

    /// Of either side: both are about the same.
    fn any(&self) -> Option<&Statement> {
        self.old.as_ref().or(self.new.as_ref())
    }

    pub(super) fn text(&self, sets: &[PolicySet; 2], out: &mut dyn Write) -> io::Result<()> {
        let class = self.any().map_or("", |statement| statement.meaning.content.class());
        writeln!(out, "{ALERTED}{}{ALERTED:#}: {class}", self.word())?;
        for (word, side, statement) in [("old", 0, &self.old), ("new", 1, &self.new)] {
            let Some(statement) = statement else {
                writeln!(out, "  {word}: nothing")?;
                continue;
            };
            let (rule, whom) = (statement.meaning.content.words(), statement.whom());
            writeln!(out, "  {word}: {rule}, for {whom}")?;
            writeln!(out, "       {}", words::place(&statement.origin, &sets[side]))?;
        }
        if let Some(Statement { reason, .. }) = self.any() {
            writeln!(out, "  {FAINT}compared as written: {reason}{FAINT:#}")?;
        }
        writeln!(out)
    }

    pub(super) fn json(&self, sets: &[PolicySet; 2]) -> Value {
        let [old, new] = self.sides();
        json!({
            "change": self.word(),
            "class": self.any().map(|statement| statement.meaning.content.class()),
            "old": old.map(|statement| statement.json(&sets[0])),
            "new": new.map(|statement| statement.json(&sets[1])),
            "comparedAsWritten": self.any().map(|statement| &statement.reason),
        })
    }
}
