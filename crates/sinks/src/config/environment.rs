//! The environment variables by which the existing relay is told of Elasticsearch and `OpenSearch`.
//!
//! Source: kubearmor-relay-server. What it reads there makes the same sinks here, so a deployment needs no other words.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::{Map, Value, json};

use super::{ConfigError, SinkConfig};

/// The sinks that the variables ask for: none, one or two.
pub fn from_environment(
    environment: &BTreeMap<String, String>,
) -> Result<Vec<SinkConfig>, ConfigError> {
    let mut sinks = Vec::new();
    let is_on = |name: &str| environment.get(name).is_some_and(|value| value == "true");
    if is_on("ENABLE_DASHBOARDS") {
        sinks.push(sink(environment, "elasticsearch", "ES", json!(["alerts"]))?);
    }
    if is_on("ENABLE_OPENSEARCH_DASHBOARD") {
        sinks.push(sink(environment, "opensearch", "OS", json!(["alerts", "logs"]))?);
    }
    Ok(sinks)
}

/// `prefix` is that of the variables: `ES_URL`.
fn sink(
    environment: &BTreeMap<String, String>,
    kind: &str,
    prefix: &str,
    events: Value,
) -> Result<SinkConfig, ConfigError> {
    let variable = |name: &str| {
        environment.get(&format!("{prefix}_{name}")).filter(|value| !value.is_empty()).cloned()
    };
    let mut keys = Map::new();
    let name = format!("{kind}-dashboards");
    keys.insert("name".into(), name.clone().into());
    keys.insert("kind".into(), kind.into());
    let url = variable("URL").unwrap_or_else(|| "http://localhost:9200".into());
    let tls = url.starts_with("https://");
    keys.insert("endpoint".into(), url.into());
    keys.insert("events".into(), events);
    if let Some(index) = variable("ALERTS_INDEX") {
        // The relay has one index for all that it sends.
        keys.insert("alertsIndex".into(), index.clone().into());
        keys.insert("logsIndex".into(), index.into());
    }
    if let Some(username) = variable("USERNAME") {
        let secret = format!("{prefix}_PASSWORD");
        keys.insert("auth".into(), json!({ "username": username, "secretEnv": secret }));
    }
    let skip = variable("ALLOW_INSECURE_TLS").is_some_and(|value| value == "true");
    match variable("CA_CERT_PATH").map(PathBuf::from) {
        _ if !tls => {}
        _ if skip => drop(keys.insert("tls".into(), json!({ "insecureSkipVerify": true }))),
        Some(file) => drop(keys.insert("tls".into(), json!({ "caFile": file }))),
        None => {}
    }
    SinkConfig::read(keys).map_err(|problem| ConfigError {
        sink: format!("`{name}` of the environment variables {prefix}_..."),
        problem,
    })
}
