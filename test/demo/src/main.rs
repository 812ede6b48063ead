//! The demonstration, as it runs inside the virtual machine: the agent is started, a container gets one policy after
//! the other, and for each it is tried what the policy forbids and what it leaves alone.
//!
//! `cargo xtask demo` boots the machine; what is tried is written in [`scenes`].
#![forbid(unsafe_code)]

mod alerts;
mod container;
mod play;
mod scenes;
mod screen;

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Parser;
use guest::agent::Agent;

use alerts::Alerts;
use play::Play;
use screen::{Screen, said};

#[derive(Parser)]
#[command(about = "Shows what policies do to a container")]
struct Arguments {
    /// Use colours
    #[arg(long)]
    color: bool,
}

/// Every wait for another program ends after this; an emulated machine is slow.
const PATIENCE: Duration = Duration::from_mins(1);

fn main() -> ExitCode {
    let screen = Screen::new(Arguments::parse().color);
    match perform(screen) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            screen.note(&format!("The demonstration broke off: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// True if all was as expected.
fn perform(screen: Screen) -> Result<bool> {
    screen.heading("The stage: a stock kernel, containerd, the agent, a web application");
    let mut agent = Agent::start(&[])?;
    screen.command("kubearmor agent &");
    screen.command(&container::run_line());
    container::run()?;
    for line in agent.wait_until_ready()? {
        said(&line);
    }
    screen.command("karmor logs &");
    let alerts = Alerts::watch(screen)?;
    screen.command(&format!("ctr task exec {} /bin/sh", container::NAME));
    let shell = container::open_shell()?;
    container::furnish(&shell)?;
    screen.note(
        "This shell was opened before any policy; what follows is typed into it, unless it begins with ctr or karmor.",
    );

    let mut play = Play::new(screen, shell, alerts);
    for scene in scenes::SCENES {
        play.perform(scene)?;
    }
    play.close()
}
