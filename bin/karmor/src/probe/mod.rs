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

use crate::command::{ProbeFormat, ProbeOptions};

/// Written by the agent at its start, for its own user only.
const AGENT_DATA: &str = "/tmp/karmorProbeData.cfg";

pub(crate) async fn run(options: &ProbeOptions) -> anyhow::Result<()> {
    let client = match options.agent.connect().await {
        Ok(client) => client,
        Err(error) if is_not_running(&error) => {
            eprintln!("no agent at {}: this is what the host offers", options.agent.address());
            let host = host::Host::read();
            return print(options.format, || host.json(), |out| host.text(out));
        }
        Err(error) => return Err(error),
    };
    let probe = report::Report { agent: agent_data()?, answer: client.probe().await? };
    print(options.format, || probe.json(), |out| probe.text(out))
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

fn print(
    format: ProbeFormat,
    json: impl FnOnce() -> Value,
    text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> anyhow::Result<()> {
    match format {
        ProbeFormat::Json => writeln!(io::stdout(), "{:#}", json())?,
        ProbeFormat::Text => text(&mut AutoStream::auto(io::stdout()))?,
        ProbeFormat::NoColor => text(&mut AutoStream::never(io::stdout()))?,
    }
    Ok(())
}
