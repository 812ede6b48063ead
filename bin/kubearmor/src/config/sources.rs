//! Where values come from, and how the winner among them is read.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};
use tracing::warn;

use super::{Config, KEYS};

/// Environment variables whose names do not follow from a key's.
const OTHER_VARIABLES: [(&str, &str); 2] =
    [("CRI_SOCKET", "criSocket"), ("NRI_SOCKET", "nriSocket")];

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("the configuration file {} cannot be read: {source}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the configuration file {} is no YAML mapping: {reason}", path.display())]
    Parse { path: PathBuf, reason: String },
    #[error("{origin}: {key}: {reason}")]
    Value { origin: String, key: String, reason: String },
}

/// Flags and environment of this process, and the file to read again on every reload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    pub(crate) file: Option<PathBuf>,
    /// Upper-case names, as the process was given them.
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) flags: BTreeMap<String, String>,
}

impl Sources {
    /// The configuration that the sources give now. Unknown keys are warned of and left out.
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        let defaults = values(&Config::default());
        let mut values = defaults.clone();
        if let Some(path) = &self.file {
            let origin = path.display().to_string();
            for (key, value) in read_file(path)? {
                if KEYS.iter().any(|&(known, _)| known == key) {
                    set(&mut values, &origin, &key, fit(value, &defaults[&key]))?;
                } else {
                    warn!("{origin}: unknown key `{key}` does nothing{}", suggestion(&key));
                }
            }
        }
        let named = KEYS.iter().map(|&(key, _)| (key.to_ascii_uppercase(), key));
        let others = OTHER_VARIABLES.map(|(variable, key)| (variable.to_owned(), key));
        for (variable, key) in named.chain(others) {
            if let Some(text) = self.environment.get(&variable) {
                let origin = format!("environment variable {variable}");
                let value = fit(Value::String(text.clone()), &defaults[key]);
                set(&mut values, &origin, key, value)?;
            }
        }
        for (key, text) in &self.flags {
            let value = fit(Value::String(text.clone()), &defaults[key.as_str()]);
            set(&mut values, &format!("--{key}"), key, value)?;
        }
        let mut config = config(values).map_err(|reason| ConfigError::Value {
            origin: "configuration".into(),
            key: String::new(),
            reason,
        })?;
        let relays = sinks::from_environment(&self.environment);
        let relays = relays.map_err(|reason| ConfigError::Value {
            origin: "environment".into(),
            key: "sinks".into(),
            reason: reason.to_string(),
        })?;
        for sink in relays {
            config.sinks.add(sink);
        }
        Ok(config)
    }
}

pub(super) fn values(config: &Config) -> Map<String, Value> {
    match serde_json::to_value(config) {
        Ok(Value::Object(values)) => values,
        _ => Map::new(),
    }
}

pub(super) fn config(values: Map<String, Value>) -> Result<Config, String> {
    serde_json::from_value(Value::Object(values)).map_err(|error| error.to_string())
}

/// Sets one key and checks its value there and then, so that an error can name where it was written.
fn set(
    values: &mut Map<String, Value>,
    origin: &str,
    key: &str,
    value: Value,
) -> Result<(), ConfigError> {
    let before = values.insert(key.to_owned(), value);
    config(values.clone()).map(drop).map_err(|reason| {
        values.extend(before.map(|before| (key.to_owned(), before)));
        ConfigError::Value { origin: origin.to_owned(), key: key.to_owned(), reason }
    })
}

/// Reads a text as the type of the key's default, and a number or truth value as text where a text is meant.
fn fit(value: Value, default: &Value) -> Value {
    match (value, default) {
        (Value::String(text), Value::Bool(_)) => match text.as_str() {
            "true" | "1" | "t" | "T" | "TRUE" | "True" => Value::Bool(true),
            "false" | "0" | "f" | "F" | "FALSE" | "False" => Value::Bool(false),
            _ => Value::String(text),
        },
        (Value::String(text), Value::Number(_)) => {
            text.parse::<u64>().map_or(Value::String(text), Value::from)
        }
        // A list in one line.
        (Value::String(text), Value::Array(_)) => {
            serde_saphyr::from_str(&text).unwrap_or(Value::String(text))
        }
        (Value::Null, Value::Array(_)) => Value::Array(Vec::new()),
        // An optional key: nothing written is nothing set.
        (Value::String(text), Value::Null) if text.is_empty() => Value::Null,
        (Value::Null, Value::String(_)) => Value::String(String::new()),
        (value @ (Value::Number(_) | Value::Bool(_)), Value::String(_)) => {
            Value::String(value.to_string())
        }
        (value, _) => value,
    }
}

fn read_file(path: &Path) -> Result<BTreeMap<String, Value>, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(BTreeMap::new());
    }
    serde_saphyr::from_str(&text)
        .map_err(|error| ConfigError::Parse { path: path.to_owned(), reason: error.to_string() })
}

fn suggestion(key: &str) -> String {
    KEYS.iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(key))
        .map(|(known, _)| format!("; did you mean `{known}`?"))
        .unwrap_or_default()
}
