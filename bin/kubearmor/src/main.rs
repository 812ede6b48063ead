//! The node's side of the product, as one program with a subcommand for each of its roles.
//!
//! This file reads the command line; `agent` wires the agent together.

mod agent;
mod arrivals;
mod backend;
mod certificates;
mod command_line;
mod comparison;
mod config;
mod detach;
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
mod restriction;
mod runtimes;
mod store;
mod submissions;
mod told;
mod transport;
mod watch;
mod ways;

use std::process::ExitCode;

use agent::End;

/// The exit status of an agent that was told to detach, so that those who restart agents know this one is to stay away.
const DETACHED: u8 = 3;

fn main() -> ExitCode {
    let arguments = command_line::normalize(std::env::args());
    let matches = command_line::command().get_matches_from(arguments);
    let sources = |matches| command_line::sources(matches, std::env::vars());
    let done = match matches.subcommand() {
        Some(("agent", matches)) => agent::run(sources(matches)),
        Some(("hook", matches)) => hook::run(&sources(matches)).map(|()| End::Ordered),
        Some(("detach", matches)) => detach::run(&sources(matches)).map(|()| End::Ordered),
        _ => Ok(End::Ordered),
    };
    match done {
        Ok(End::Ordered) => ExitCode::SUCCESS,
        Ok(End::Detached) => ExitCode::from(DETACHED),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
