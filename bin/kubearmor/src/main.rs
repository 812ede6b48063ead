//! The node's side of the product, as one program with a subcommand for each of its roles.
//!
//! This file reads the command line; `agent` wires the agent together.

mod agent;
mod arrivals;
mod backend;
mod certificates;
mod command_line;
mod config;
mod events;
mod filesystem;
mod hook;
mod identities;
mod index;
mod instance;
mod probe_file;
mod processes;
mod reload;
mod restore;
mod runtimes;
mod store;
mod submissions;
mod told;
mod transport;
mod watch;
mod ways;

use std::{path::Path, process::ExitCode};

use anyhow::Context as _;

fn main() -> ExitCode {
    let arguments = command_line::normalize(std::env::args());
    let matches = command_line::command().get_matches_from(arguments);
    let done = match matches.subcommand() {
        Some(("agent", matches)) => agent::run(command_line::sources(matches, std::env::vars())),
        Some(("hook", matches)) => hook::run(&command_line::sources(matches, std::env::vars())),
        Some(("detach", matches)) => {
            detach(matches.get_one::<String>("bpfFsPath").map_or("/sys/fs/bpf", String::as_str))
        }
        _ => Ok(()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Ends enforcement on purpose. The agent's own end never does.
fn detach(bpffs: &str) -> anyhow::Result<()> {
    let count = sensor::detach_all(Path::new(bpffs)).context("rules may still be in force")?;
    println!("{count} pinned objects removed; nothing is enforced any more");
    Ok(())
}
