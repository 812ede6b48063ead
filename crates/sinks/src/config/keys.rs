//! The keys that every kind of sink has.

use std::{collections::BTreeSet, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::absolute;
use crate::event::Fields;

/// The three streams of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Alerts,
    Logs,
    Messages,
}

impl Stream {
    /// What one of its events is called.
    pub(crate) fn singular(self) -> &'static str {
        match self {
            Self::Alerts => "alert",
            Self::Logs => "log",
            Self::Messages => "message",
        }
    }
}

/// Which of the events a sink gets. An empty list names all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Filter {
    /// Of alerts and logs; the host's have none.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) namespaces: BTreeSet<String>,
    /// Of alerts and logs: `Process`, `File`, ...
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) operations: BTreeSet<String>,
    /// Of alerts.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) policies: BTreeSet<String>,
    /// Of alerts: `Block`, `Audit`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) actions: BTreeSet<String>,
    /// Of alerts; those without a severity have 0.
    pub(crate) min_severity: u32,
}

impl Filter {
    pub(crate) fn passes(&self, stream: Stream, fields: &Fields<'_>) -> bool {
        let names = |list: &BTreeSet<String>, value: &str| list.is_empty() || list.contains(value);
        let of_both = names(&self.namespaces, &fields.namespace_name)
            && names(&self.operations, &fields.operation);
        match stream {
            Stream::Messages => true,
            Stream::Logs => of_both,
            Stream::Alerts => {
                of_both
                    && names(&self.policies, &fields.policy_name)
                    && names(&self.actions, &fields.action)
                    && fields.severity_number() >= self.min_severity
            }
        }
    }
}

/// Who the agent is to the peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Auth {
    /// With a secret it makes basic authentication, or SASL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    /// Before the secret in `Authorization`: `Bearer`, `ApiKey`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scheme: Option<String>,
    /// The header that holds the secret alone, in place of `Authorization`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) header: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret_env: Option<String>,
}

impl Auth {
    pub(super) fn check(&self) -> Result<(), String> {
        absolute(self.secret_file.as_deref(), "secretFile")?;
        if self.secret_file.is_some() == self.secret_env.is_some() {
            return Err("name either `secretFile` or `secretEnv`".into());
        }
        let ways = [&self.username, &self.scheme, &self.header];
        if ways.into_iter().flatten().count() > 1 {
            return Err("`username`, `scheme` and `header` exclude each other".into());
        }
        Ok(())
    }

    /// The secret of this moment: what a file holds may change.
    pub(crate) fn secret(&self) -> Result<String, String> {
        let (text, from) = match (&self.secret_file, &self.secret_env) {
            (Some(file), _) => {
                let text = std::fs::read_to_string(file);
                (text.map_err(|error| error.to_string()), file.display().to_string())
            }
            (None, Some(variable)) => {
                let text = std::env::var(variable).map_err(|_| "not set".to_owned());
                (text, format!("the environment variable {variable}"))
            }
            (None, None) => return Ok(String::new()),
        };
        match text.map(|text| text.trim().to_owned()) {
            Ok(secret) if secret.is_empty() => Err(format!("{from} holds no secret")),
            Ok(secret) => Ok(secret),
            Err(problem) => Err(format!("{from}: {problem}")),
        }
    }
}

/// Whom the agent trusts, and what it shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Tls {
    /// In place of the authorities that this system trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cert_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_file: Option<PathBuf>,
    /// The name in the peer's certificate, where it is not that of the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_name: Option<String>,
    /// Anybody may be the peer then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) insecure_skip_verify: bool,
}

impl Tls {
    pub(super) fn check(&self) -> Result<(), String> {
        absolute(self.ca_file.as_deref(), "caFile")?;
        absolute(self.cert_file.as_deref(), "certFile")?;
        absolute(self.key_file.as_deref(), "keyFile")?;
        if self.cert_file.is_some() != self.key_file.is_some() {
            return Err("`certFile` and `keyFile` belong together".into());
        }
        if self.insecure_skip_verify && self.ca_file.is_some() {
            return Err("`insecureSkipVerify` makes `caFile` useless: leave one out".into());
        }
        Ok(())
    }
}

/// What is sent together. It is sent when one of these is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "as the keys are called")]
pub(crate) struct Batch {
    pub(crate) max_events: usize,
    /// Of the events as JSON.
    pub(crate) max_bytes: usize,
    pub(crate) max_age_millis: u64,
}

impl Default for Batch {
    fn default() -> Self {
        Self { max_events: 500, max_bytes: 1_000_000, max_age_millis: 1000 }
    }
}

/// What waits in memory at most. At half of it the spool takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct QueueLimits {
    pub(crate) max_events: usize,
    /// Of the events as JSON.
    pub(crate) max_bytes: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { max_events: 8192, max_bytes: 16 << 20 }
    }
}

/// What the spool's files may hold together; 0: there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct SpoolLimits {
    pub(crate) max_bytes: u64,
}

impl Default for SpoolLimits {
    fn default() -> Self {
        Self { max_bytes: 256 << 20 }
    }
}

/// Waits between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Retry {
    pub(crate) initial_millis: u64,
    pub(crate) max_millis: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { initial_millis: 500, max_millis: 30_000 }
    }
}
