//! `cargo xtask scale`: how much memory the agent and its maps take on a node full of protected containers.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;

use crate::{
    binaries,
    checkout::Checkout,
    program::step,
    vm::{Host, Kernel, Machine, Series},
};

const GUEST: &str = "/usr/local/bin/scale";
const DEADLINE: Duration = Duration::from_mins(20);

/// `cargo xtask scale`
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The kernel's series
    #[arg(long, default_value = "6.12")]
    kernel: Series,
    /// Protected containers
    #[arg(long, default_value_t = 10_000)]
    containers: u32,
}

pub(crate) fn perform(checkout: &Checkout, arguments: &Arguments) -> Result<ExitCode> {
    let kernel = Kernel::get(checkout, arguments.kernel)?;
    let scale = step("building the static programs", || binaries::program(checkout, "scale"))?;
    let mut machine = Machine::new(checkout, kernel, Host::get(checkout)?)?;
    machine.deadline = DEADLINE;
    machine.files.push((scale, GUEST.into()));
    let out = tempfile::tempdir()?;
    let command = [GUEST.to_owned(), arguments.containers.to_string()];
    let outcome = machine.run(&command, out.path(), &mut |line| println!("{line}"))?;
    if outcome.status != 0
        && let Ok(log) = std::fs::read_to_string(out.path().join("agent.log"))
    {
        println!("the agent's log:\n{log}");
    }
    Ok(if outcome.status == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
