//! The steps of a case. In the file a step is a mapping whose keys tell what it does.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{EventPattern, PolicyText};
use crate::matcher::{ExitMatcher, TextMatcher};

/// Where a program runs that is in no container.
pub(crate) const HOST: &str = "host";

/// What a step does.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Keys")]
pub enum Step {
    Run {
        /// No shell is added.
        argv: Vec<String>,
        /// A container, or `host`.
        place: String,
        tty: bool,
        uid: u32,
        /// The name under which a `wait` finds the program, which goes on.
        background: Option<String>,
        seen: Seen,
    },
    /// Until that background program has ended.
    Wait {
        name: String,
        seen: Seen,
    },
    Start {
        container: String,
        seen: Seen,
    },
    Stop {
        container: String,
        seen: Seen,
    },
    Apply {
        policy: PolicyText,
        seen: Seen,
    },
    Delete {
        policy: Deleted,
        seen: Seen,
    },
    /// The agent must refuse it.
    Reject {
        policy: PolicyText,
        error: Option<TextMatcher>,
        seen: Seen,
    },
    Agent {
        action: AgentAction,
        seen: Seen,
    },
    /// Changes keys of the running agent.
    Config {
        keys: BTreeMap<String, Value>,
        seen: Seen,
    },
    Counted(Counted),
}

/// What must be seen of a step.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub expect: Expectation,
    /// Each within five seconds of the step's end.
    pub alerts: Vec<EventPattern>,
    /// None of them from the step's beginning to the case's end.
    pub no_alerts: Vec<EventPattern>,
    pub logs: Vec<EventPattern>,
    pub no_logs: Vec<EventPattern>,
    /// What the agent says of itself.
    pub messages: Vec<EventPattern>,
    pub no_messages: Vec<EventPattern>,
}

/// What a program must leave behind. What is not named may be anything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    pub exit: Option<ExitMatcher>,
    pub stdout: Option<TextMatcher>,
    pub stderr: Option<TextMatcher>,
}

/// The policy that a step deletes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deleted {
    pub kind: String,
    pub name: String,
    pub namespace: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentAction {
    /// In good order.
    Stop,
    /// By SIGKILL.
    Kill,
    Start,
    Restart,
}

/// The agent's account of a policy since the case began.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    pub policy: String,
    pub action: String,
    pub equals: Option<u64>,
    pub at_least: Option<u64>,
}

impl Step {
    /// The container or host that the step is about.
    pub(crate) fn container(&self) -> Option<&str> {
        match self {
            Self::Run { place, .. } => Some(place),
            Self::Start { container, .. } | Self::Stop { container, .. } => Some(container),
            _ => None,
        }
    }

    /// What must be seen; nothing of a step that only counts.
    pub fn seen(&self) -> Option<&Seen> {
        match self {
            Self::Run { seen, .. }
            | Self::Wait { seen, .. }
            | Self::Start { seen, .. }
            | Self::Stop { seen, .. }
            | Self::Apply { seen, .. }
            | Self::Delete { seen, .. }
            | Self::Reject { seen, .. }
            | Self::Agent { seen, .. }
            | Self::Config { seen, .. } => Some(seen),
            Self::Counted(_) => None,
        }
    }

    /// The step in a few words, for reports.
    pub fn summary(&self) -> String {
        match self {
            Self::Run { argv, place, .. } => format!("run {} in {place}", argv.join(" ")),
            Self::Wait { name, .. } => format!("wait {name}"),
            Self::Start { container, .. } => format!("start {container}"),
            Self::Stop { container, .. } => format!("stop {container}"),
            Self::Apply { .. } => "apply".to_owned(),
            Self::Delete { policy, .. } => format!("delete {}", policy.name),
            Self::Reject { .. } => "reject".to_owned(),
            Self::Agent { action, .. } => format!("agent {action:?}").to_lowercase(),
            Self::Config { keys, .. } => {
                format!("config {}", keys.keys().cloned().collect::<Vec<_>>().join(", "))
            }
            Self::Counted(counted) => format!("counted {}", counted.policy),
        }
    }
}

/// Every key that a step may have, as the file has them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    run: Option<Vec<String>>,
    wait: Option<String>,
    start: Option<String>,
    stop: Option<String>,
    apply: Option<PolicyText>,
    delete: Option<Deleted>,
    reject: Option<PolicyText>,
    agent: Option<AgentAction>,
    config: Option<BTreeMap<String, Value>>,
    counted: Option<Counted>,

    r#in: Option<String>,
    tty: Option<bool>,
    uid: Option<u32>,
    background: Option<String>,
    error: Option<TextMatcher>,
    expect: Option<Expectation>,
    alerts: Vec<EventPattern>,
    no_alerts: Vec<EventPattern>,
    logs: Vec<EventPattern>,
    no_logs: Vec<EventPattern>,
    messages: Vec<EventPattern>,
    no_messages: Vec<EventPattern>,
}

impl TryFrom<Keys> for Step {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let kinds = keys.kinds();
        let [kind] = kinds[..] else {
            return Err(format!("a step does one thing, this one does: {}", kinds.join(", ")));
        };
        if kind != "run" {
            let misplaced = [
                ("in", keys.r#in.is_some()),
                ("tty", keys.tty.is_some()),
                ("uid", keys.uid.is_some()),
                ("background", keys.background.is_some()),
            ];
            forbid(kind, &misplaced)?;
        }
        if kind != "reject" {
            forbid(kind, &[("error", keys.error.is_some())])?;
        }
        if !matches!(kind, "run" | "wait" | "start") {
            forbid(kind, &[("expect", keys.expect.is_some())])?;
        }
        keys.into_step().ok_or_else(|| "a step with `run` needs `in`".to_owned())
    }
}

fn forbid(kind: &str, keys: &[(&str, bool)]) -> Result<(), String> {
    match keys.iter().find(|(_, present)| *present) {
        Some((key, _)) => Err(format!("`{key}` has no meaning beside `{kind}`")),
        None => Ok(()),
    }
}

impl Keys {
    fn kinds(&self) -> Vec<&'static str> {
        [
            ("run", self.run.is_some()),
            ("wait", self.wait.is_some()),
            ("start", self.start.is_some()),
            ("stop", self.stop.is_some()),
            ("apply", self.apply.is_some()),
            ("delete", self.delete.is_some()),
            ("reject", self.reject.is_some()),
            ("agent", self.agent.is_some()),
            ("config", self.config.is_some()),
            ("counted", self.counted.is_some()),
        ]
        .into_iter()
        .filter_map(|(kind, present)| present.then_some(kind))
        .collect()
    }

    /// `None` if a program has no place to run in. Exactly one kind is present.
    fn into_step(self) -> Option<Step> {
        let Self { alerts, no_alerts, logs, no_logs, messages, no_messages, .. } = self;
        let expect = self.expect.unwrap_or_default();
        let seen = Seen { expect, alerts, no_alerts, logs, no_logs, messages, no_messages };
        let step = if let Some(argv) = self.run {
            Step::Run {
                argv,
                place: self.r#in?,
                tty: self.tty.unwrap_or(false),
                uid: self.uid.unwrap_or(0),
                background: self.background,
                seen,
            }
        } else if let Some(name) = self.wait {
            Step::Wait { name, seen }
        } else if let Some(container) = self.start {
            Step::Start { container, seen }
        } else if let Some(container) = self.stop {
            Step::Stop { container, seen }
        } else if let Some(policy) = self.apply {
            Step::Apply { policy, seen }
        } else if let Some(policy) = self.delete {
            Step::Delete { policy, seen }
        } else if let Some(policy) = self.reject {
            Step::Reject { policy, error: self.error, seen }
        } else if let Some(action) = self.agent {
            Step::Agent { action, seen }
        } else if let Some(keys) = self.config {
            Step::Config { keys, seen }
        } else {
            Step::Counted(self.counted?)
        };
        Some(step)
    }
}
