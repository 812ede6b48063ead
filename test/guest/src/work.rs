//! The pieces of work a machine can be booted for.

use std::{
    fs::{File, OpenOptions},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use guest::{Plan, Work};

use crate::{containers, process};

const AGENT: &str = "/usr/local/bin/kubearmor";
const TERMINAL: &str = "/dev/ttyS0";
const AGENT_LOG: &str = "/var/log/kubearmor.log";

/// Does the plan's work and returns its exit status.
pub(crate) fn perform(plan: &Plan) -> Result<i32> {
    if !matches!(plan.work, Work::ImportImages) {
        containers::place_probe()?;
    }
    if plan.containerd {
        containers::start_containerd()?;
    }
    match &plan.work {
        Work::Run { argv } => run(argv),
        Work::Shell => shell(),
        Work::ImportImages => containers::import_images().map(|()| 0),
    }
}

fn run(argv: &[String]) -> Result<i32> {
    let (program, arguments) = argv.split_first().context("the plan has no program to run")?;
    process::run(Command::new(program).args(arguments).stdin(Stdio::null()))
}

fn shell() -> Result<i32> {
    if Path::new(AGENT).exists() {
        let log = File::create(AGENT_LOG)?;
        process::start(
            Command::new(AGENT)
                .arg("agent")
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log),
        )?;
        println!("The agent runs; it writes to {AGENT_LOG}.");
    } else {
        println!("No agent: `cargo xtask build --release` makes it for the next boot.");
    }
    println!("`ctr image ls` lists the images; `exit` powers the machine off.");
    // A session of its own with the serial line as its terminal, so that ^C and jobs work. The
    // console that the kernel gave to the first process cannot be a terminal of a session.
    let terminal = OpenOptions::new().read(true).write(true).open(TERMINAL).context(TERMINAL)?;
    process::run(
        Command::new("setsid")
            .args(["--ctty", "--wait", "bash", "--login"])
            .current_dir("/root")
            .env("TERM", "linux")
            .stdin(terminal.try_clone()?)
            .stdout(terminal.try_clone()?)
            .stderr(terminal),
    )
}
