//! Fills a node with protected containers and counts what that takes, in a virtual machine: `cargo xtask scale` starts
//! it there. Ends with a failure if more is taken than is allowed.
#![forbid(unsafe_code)]

mod agent;
mod containers;
mod memory;

use std::{env, fs, process::ExitCode};

use anyhow::{Context as _, Result, ensure};
use scale::{
    node::{APPLICATIONS, IDLE, MEMORY, RULES},
    rules::{label, policy_text},
};

use crate::{agent::Agent, memory::Memory};

const POLICIES: &str = "/srv/scale/policies";

fn main() -> ExitCode {
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("scale: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<bool> {
    ensure!(guest::is_here(), "this is for the test bed's virtual machine");
    let count = env::args().nth(1).context("usage: scale CONTAINERS")?;
    let count: u32 = count.parse().context(count)?;
    fs::create_dir_all(POLICIES).context(POLICIES)?;
    let agent = Agent::start(POLICIES)?;
    let idle = agent.memory()?;
    let share = agent.busy_share()?;
    println!("nothing to do:\n{idle}  processor       {:>9.3} %", share * 100.0);
    drop(agent);

    for application in 0..APPLICATIONS {
        let path = format!("{POLICIES}/{}.yaml", label(application));
        fs::write(&path, policy_text(application, RULES)).context(path)?;
    }
    let agent = Agent::start(POLICIES)?;
    println!("{APPLICATIONS} policies of {RULES} rules:\n{}", agent.memory()?);
    let _keepers = containers::start(count)?;
    let full = agent.memory()?;
    let rules = u64::from(count) * u64::from(RULES);
    println!("{count} containers, {rules} rules:\n{full}");
    Ok(within("an idle agent is resident with", idle.resident, IDLE)
        & within("agent and maps take", full.all(), MEMORY))
}

fn within(what: &str, bytes: u64, limit: u64) -> bool {
    let mib = Memory::mib;
    let holds = bytes <= limit;
    let verdict = if holds { "ok" } else { "TOO MUCH" };
    println!("{verdict}: {what} {:.1} MiB of {:.0}", mib(bytes), mib(limit));
    holds
}
