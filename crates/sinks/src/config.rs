//! What a configuration says of sinks: the list under the key `sinks`, read whole or refused with the key that is wrong.
//!
//! Secrets do not stand in it. It names a file or an environment variable, so that it can be shown.

mod environment;
mod keys;
mod kinds;

use std::{collections::BTreeSet, path::Path, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

#[cfg(test)]
pub(crate) use self::kinds::{Facility, Otlp, Webhook};
pub use self::{environment::from_environment, keys::Stream};
pub(crate) use self::{
    keys::{Auth, Batch, Filter, QueueLimits, Retry, SpoolLimits, Tls},
    kinds::{Endpoint, Kafka, Kind, Search, Splunk, Syslog, WebhookFormat},
};

/// Longer names make unwieldy directories.
const NAME_LENGTH: usize = 64;
const TIMEOUT_MILLIS: u64 = 10_000;

/// What is wrong, with the name of the sink and the key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sink}: {problem}")]
pub struct ConfigError {
    sink: String,
    problem: String,
}

/// All sinks, with names that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Map<String, Value>>", into = "Vec<Value>")]
pub struct SinkList(Vec<SinkConfig>);

impl SinkList {
    pub fn iter(&self) -> std::slice::Iter<'_, SinkConfig> {
        self.0.iter()
    }

    /// Adds one, unless there is one of its name.
    pub fn add(&mut self, sink: SinkConfig) {
        if self.0.iter().all(|known| known.name != sink.name) {
            self.0.push(sink);
        }
    }
}

impl<'a> IntoIterator for &'a SinkList {
    type Item = &'a SinkConfig;
    type IntoIter = std::slice::Iter<'a, SinkConfig>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl TryFrom<Vec<Map<String, Value>>> for SinkList {
    type Error = ConfigError;

    fn try_from(list: Vec<Map<String, Value>>) -> Result<Self, ConfigError> {
        let mut names = BTreeSet::new();
        let read = |(index, keys): (usize, Map<String, Value>)| {
            let sink = match keys.get("name").and_then(Value::as_str) {
                Some(name) => format!("`{name}`"),
                None => format!("entry {}", index + 1),
            };
            let config = SinkConfig::read(keys).and_then(|config| {
                let new = names.insert(config.name.clone());
                if new { Ok(config) } else { Err("`name`: another sink has it".into()) }
            });
            config.map_err(|problem| ConfigError { sink, problem })
        };
        list.into_iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl From<SinkList> for Vec<Value> {
    fn from(list: SinkList) -> Self {
        list.0.iter().map(SinkConfig::shown).collect()
    }
}

/// One sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkConfig {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) endpoint: Endpoint,
    pub(crate) events: BTreeSet<Stream>,
    pub(crate) filter: Filter,
    pub(crate) auth: Option<Auth>,
    pub(crate) tls: Tls,
    pub(crate) batch: Batch,
    pub(crate) queue: QueueLimits,
    pub(crate) spool: SpoolLimits,
    pub(crate) retry: Retry,
    /// Of a connection's making, and of one answer.
    pub(crate) timeout_millis: u64,
}

impl SinkConfig {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_millis)
    }

    fn read(mut keys: Map<String, Value>) -> Result<Self, String> {
        let keys = &mut keys;
        let name = checked_name(required(keys, "name")?)?;
        let kind: String = required(keys, "kind")?;
        let endpoint: String = required(keys, "endpoint")?;
        let events: Option<BTreeSet<Stream>> = take(keys, "events")?;
        let auth = take(keys, "auth")?;
        let tls: Option<Tls> = take(keys, "tls")?;
        let config = Self {
            name,
            endpoint: Endpoint::read(&kind, &endpoint)?,
            events: events.unwrap_or_else(|| [Stream::Alerts].into()),
            filter: take(keys, "filter")?.unwrap_or_default(),
            auth,
            tls: tls.unwrap_or_default(),
            batch: take(keys, "batch")?.unwrap_or_default(),
            queue: take(keys, "queue")?.unwrap_or_default(),
            spool: take(keys, "spool")?.unwrap_or_default(),
            retry: take(keys, "retry")?.unwrap_or_default(),
            timeout_millis: take(keys, "timeoutMillis")?.unwrap_or(TIMEOUT_MILLIS),
            // What is left belongs to the kind, which refuses what it does not know.
            kind: Kind::read(&kind, std::mem::take(keys))?,
        };
        config.checked()
    }

    fn checked(self) -> Result<Self, String> {
        if self.events.is_empty() {
            return Err("`events`: name one at least of alerts, logs and messages".into());
        }
        if self.batch.max_events == 0 || self.batch.max_bytes == 0 {
            return Err("`batch`: maxEvents and maxBytes are 1 at least".into());
        }
        if self.queue.max_events == 0 || self.queue.max_bytes == 0 {
            return Err("`queue`: maxEvents and maxBytes are 1 at least".into());
        }
        if self.retry.initial_millis == 0 || self.retry.max_millis < self.retry.initial_millis {
            return Err("`retry`: initialMillis is 1 at least, maxMillis not less".into());
        }
        if self.timeout_millis == 0 {
            return Err("`timeoutMillis`: 1 at least".into());
        }
        if let Some(auth) = &self.auth {
            auth.check().map_err(|problem| format!("`auth`: {problem}"))?;
        }
        self.tls.check().map_err(|problem| format!("`tls`: {problem}"))?;
        if self.tls != Tls::default() && !self.endpoint.is_tls() {
            return Err(format!("`tls`: the endpoint {} has none", self.endpoint));
        }
        self.kind.check(self.auth.as_ref())?;
        Ok(self)
    }

    /// As it can be written under `sinks` again.
    fn shown(&self) -> Value {
        let mut keys = self.kind.shown();
        let mut show = |key: &str, value: serde_json::Result<Value>| {
            keys.insert(key.to_owned(), value.unwrap_or_default());
        };
        show("name", Ok(self.name.clone().into()));
        show("kind", Ok(self.kind.as_str().into()));
        show("endpoint", Ok(self.endpoint.to_string().into()));
        show("events", serde_json::to_value(&self.events));
        show("filter", serde_json::to_value(&self.filter));
        if let Some(auth) = &self.auth {
            show("auth", serde_json::to_value(auth));
        }
        if self.tls != Tls::default() {
            show("tls", serde_json::to_value(&self.tls));
        }
        show("batch", serde_json::to_value(self.batch));
        show("queue", serde_json::to_value(self.queue));
        show("spool", serde_json::to_value(self.spool));
        show("retry", serde_json::to_value(self.retry));
        show("timeoutMillis", Ok(self.timeout_millis.into()));
        Value::Object(keys)
    }
}

/// It is the name of a directory, too.
fn checked_name(name: String) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty()
        || name.starts_with('.')
        || name.len() > NAME_LENGTH
        || !name.chars().all(plain)
    {
        return Err(format!(
            "`name`: 1 to {NAME_LENGTH} letters, digits, `-`, `_` and `.`, no `.` at the beginning"
        ));
    }
    Ok(name)
}

fn take<T: DeserializeOwned>(
    keys: &mut Map<String, Value>,
    key: &str,
) -> Result<Option<T>, String> {
    keys.remove(key)
        .map(|value| serde_json::from_value(value).map_err(|error| format!("`{key}`: {error}")))
        .transpose()
}

fn required(keys: &mut Map<String, Value>, key: &str) -> Result<String, String> {
    take(keys, key)?.ok_or_else(|| format!("`{key}` is missing"))
}

/// A file that a key names: relative ones would depend on where the agent was started.
fn absolute(path: Option<&Path>, key: &str) -> Result<(), String> {
    match path {
        Some(path) if !path.is_absolute() => {
            Err(format!("`{key}`: {} is no absolute path", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
