//! `cargo xtask verifier`: every kernel's verifier must accept every kernel program.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result};

use crate::{
    binaries,
    checkout::Checkout,
    program::step,
    vm::{Choice, Host, Kernel, Machine},
};

/// Where the guest finds the program that loads.
const GUEST: &str = "/root/load";

/// Arguments of `cargo xtask verifier`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A series of kernels, or `all`
    #[arg(long, default_value = "all")]
    kernel: Choice,
}

/// `cargo xtask verifier`.
pub(crate) fn perform(checkout: &Checkout, arguments: &Arguments) -> Result<ExitCode> {
    let load = step("building the static programs", || binaries::load(checkout))?;
    let host = Host::get(checkout)?;
    let mut accepted = true;
    for series in arguments.kernel.series() {
        let kernel = Kernel::get(checkout, series)?;
        println!("Linux {}", kernel.release);
        let mut machine = Machine::new(checkout, kernel, host.clone())?;
        machine.files.push((load.clone(), Path::new(GUEST).to_owned()));
        let out = tempfile::tempdir()?;
        let outcome = machine
            .run(&[GUEST.to_owned()], out.path(), &mut |line| println!("{line}"))
            .with_context(|| format!("kernel programs on Linux {series}"))?;
        accepted &= outcome.status == 0;
    }
    Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
