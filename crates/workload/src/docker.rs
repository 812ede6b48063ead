//! Docker's language, over its socket; Podman's service speaks it as well.

mod http;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use tokio::time::timeout;
use tracing::debug;

use self::http::{Lines, get, lines};
use crate::runtime::{Change, Description, Peer, RuntimeError, Sighting};

/// Docker answers for a container that it is starting or stopping when it has done so.
const PATIENCE: Duration = Duration::from_secs(5);

/// Changes of containers that matter: percent-encoded JSON. Podman's word for `die` is `died`.
const EVENTS: &str = "/events?filters=%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B\
                      %22start%22%2C%22die%22%2C%22died%22%5D%7D";

pub(crate) struct Client {
    socket: PathBuf,
    events: Option<Lines>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    name: String,
    config: InspectedConfig,
    state: InspectedState,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedConfig {
    #[serde(default)]
    image: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedState {
    running: bool,
    pid: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    #[serde(default)]
    action: String,
    #[serde(default)]
    actor: Actor,
}

#[derive(Default, Deserialize)]
struct Actor {
    #[serde(rename = "ID", default)]
    id: String,
}

impl Peer for Client {
    async fn connect(socket: &Path) -> Result<Self, RuntimeError> {
        Ok(Self { socket: socket.to_owned(), events: None })
    }

    async fn version(&mut self) -> Result<String, RuntimeError> {
        let answer: Option<Version> = get(&self.socket, "/version").await?;
        Ok(answer.map(|answer| answer.version).unwrap_or_default())
    }

    async fn subscribe(&mut self) -> Result<(), RuntimeError> {
        self.events = Some(lines(&self.socket, EVENTS).await?);
        Ok(())
    }

    async fn running(&mut self) -> Result<Vec<Sighting>, RuntimeError> {
        let listed: Option<Vec<Listed>> = get(&self.socket, "/containers/json").await?;
        let seen = |Listed { id }| Sighting { id, ..Sighting::default() };
        Ok(listed.unwrap_or_default().into_iter().map(seen).collect())
    }

    async fn describe(&mut self, sighting: &Sighting) -> Result<Option<Description>, RuntimeError> {
        let path = format!("/containers/{}/json", sighting.id);
        let Ok(inspected) = timeout(PATIENCE, get::<Inspected>(&self.socket, &path)).await else {
            debug!("container {} is being started or stopped for long", sighting.id);
            return Ok(None);
        };
        Ok(inspected?.filter(|found| found.state.running && found.state.pid != 0).map(|found| {
            Description {
                pid: found.state.pid,
                name: found.name.trim_start_matches('/').to_owned(),
                image: found.config.image,
                labels: found.config.labels.unwrap_or_default(),
                cgroups_path: Some(sighting.id.clone()),
            }
        }))
    }

    async fn next(&mut self) -> Result<Change, RuntimeError> {
        let Some(events) = &mut self.events else { return Err(RuntimeError::StreamEnded) };
        loop {
            let line = events.next().await?;
            if let Some(change) = change(&line) {
                return Ok(change);
            }
        }
    }
}

/// `None` for what is no event, or one that changes nothing here.
fn change(line: &[u8]) -> Option<Change> {
    let event: Event = serde_json::from_slice(line).ok()?;
    let id = event.actor.id;
    if id.is_empty() {
        return None;
    }
    match event.action.as_str() {
        "start" => Some(Change::Exists(Sighting { id, ..Sighting::default() })),
        "die" | "died" => Some(Change::Gone { id, pid: None }),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
