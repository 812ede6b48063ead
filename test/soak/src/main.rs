//! Long runs inside the virtual machine: containers that come and go by the thousand, containers that nobody asks the
//! agent about, and opens by the million. `cargo xtask soak` starts it there.
#![expect(unsafe_code, reason = "a container's first process is made by clone3")]

mod bundle;
mod costs;
mod gap;
mod growth;
mod opens;
mod rules;
mod starter;
mod starts;
mod usage;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    run: Run,
}

#[derive(Subcommand)]
enum Run {
    /// Starts and stops containers that do what is forbidden at once
    Starts {
        #[arg(long)]
        starts: usize,
        /// Containers that run side by side
        #[arg(long)]
        workers: usize,
        /// The container runtime, as `runc` is called
        #[arg(long)]
        runtime: PathBuf,
        /// Start them by a runtime of our own, which does only what the agent sees
        #[arg(long)]
        own: bool,
    },
    /// Measures what a start is made of
    Costs {
        #[arg(long)]
        times: u32,
        #[arg(long)]
        runtime: PathBuf,
    },
    /// Measures the beginning of containers of which nobody asks the agent
    Gap {
        #[arg(long)]
        starts: usize,
    },
    /// Opens a forbidden file over and over
    Opens {
        #[arg(long)]
        opens: u64,
        #[arg(long)]
        runtime: PathBuf,
    },
}

fn main() -> ExitCode {
    match perform(Arguments::parse().run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// True if what was promised held.
fn perform(run: Run) -> Result<bool> {
    ensure!(guest::is_here(), "this is for the test bed's virtual machine");
    match run {
        Run::Starts { starts, workers, runtime, own } => {
            starts::perform(starts, workers, &runtime, own)
        }
        Run::Costs { times, runtime } => costs::perform(times, &runtime),
        Run::Gap { starts } => gap::perform(starts),
        Run::Opens { opens, runtime } => opens::perform(opens, &runtime),
    }
}
