//! `karmor probe`: what the agent of this host protects; without an agent, what the host could enforce.

mod host;
mod report;

use std::{
    fs,
    io::{self, Write},
};

use anstream::AutoStream;
use anyhow::Context;
use feed::client::ClientError;
use serde_json::{Map, Value};

use crate::command::{Agent, ProbeFormat, ProbeOptions};

/// Written by the agent at its start, for its own user only.
const AGENT_DATA: &str = "/tmp/karmorProbeData.cfg";

/// What can be told.
pub(crate) enum Told {
    Agent(report::Report),
    /// There is no agent.
    Host(host::Host),
}

impl Told {
    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Agent(report) => report.json(),
            Self::Host(host) => host.json(),
        }
    }

    pub(crate) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Agent(report) => report.text(out),
            Self::Host(host) => host.text(out),
        }
    }
}

pub(crate) async fn run(options: &ProbeOptions) -> anyhow::Result<()> {
    let told = gather(&options.agent).await?;
    let format = if options.json { ProbeFormat::Json } else { options.format };
    match format {
        ProbeFormat::Json => writeln!(io::stdout(), "{:#}", told.json())?,
        ProbeFormat::Text => told.text(&mut AutoStream::auto(io::stdout()))?,
        ProbeFormat::NoColor => told.text(&mut AutoStream::never(io::stdout()))?,
    }
    Ok(())
}

pub(crate) async fn gather(agent: &Agent) -> anyhow::Result<Told> {
    match agent.connect().await {
        Ok(client) => {
            let answer = client.probe().await?;
            Ok(Told::Agent(report::Report { agent: agent_data()?, answer }))
        }
        Err(error) if is_not_running(&error) => {
            eprintln!("no agent at {}: this is what the host offers", agent.address());
            Ok(Told::Host(host::Host::read()))
        }
        Err(error) => Err(error),
    }
}

fn is_not_running(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ClientError::Unreachable { .. }))
}

/// What the agent wrote about its host. Empty if it lies behind another user's permissions or on another host.
fn agent_data() -> anyhow::Result<Map<String, Value>> {
    let text = match fs::read_to_string(AGENT_DATA) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("note: {AGENT_DATA}: {error}; the host's own part is left out");
            return Ok(Map::new());
        }
    };
    serde_json::from_str(&text).with_context(|| format!("{AGENT_DATA} is not the agent's"))
}
