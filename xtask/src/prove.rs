//! `cargo xtask prove`: every reading of the law gives the answers of the law. The interpreter of images and the C
//! matcher are compared on this machine, the kernel programs in virtual machines.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    binaries,
    checkout::Checkout,
    program::{self, step},
    vm::{Choice, Host, Kernel, Machine},
};

/// Where the guest finds the judge and those it sends.
const GUEST: [&str; 2] = ["/root/law", "/root/law-subject"];
/// For accesses by the million on an emulated processor.
const DEADLINE: Duration = Duration::from_hours(3);

/// Arguments of `cargo xtask prove`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Accesses to compare on this machine
    #[arg(long, default_value_t = 10_000_000)]
    comparisons: u64,
    /// Accesses to attempt on each kernel; an emulated machine does some 200 a second
    #[arg(long, default_value_t = 50_000)]
    kernel_comparisons: u64,
    /// A series of kernels, or `all`
    #[arg(long, default_value = "all")]
    kernel: Choice,
    /// The same seed generates the same rules and accesses
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// For the command line of the kernels, such as `preempt=full`
    #[arg(long, default_value = "")]
    cmdline: String,
}

/// `cargo xtask prove`.
pub(crate) fn perform(checkout: &Checkout, arguments: &Arguments) -> Result<ExitCode> {
    let mut proved = arguments.comparisons == 0 || on_this_machine(checkout, arguments)?;
    if arguments.kernel_comparisons > 0 {
        let judge = step("building the static programs", || binaries::program(checkout, "law"))?;
        let host = Host::get(checkout)?;
        for series in arguments.kernel.series() {
            let kernel = Kernel::get(checkout, series)?;
            let machine = Machine::new(checkout, kernel, host.clone())?;
            proved &= in_kernel(machine, &judge, arguments)
                .with_context(|| format!("the law on Linux {series}"))?;
        }
    }
    Ok(if proved { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn on_this_machine(checkout: &Checkout, arguments: &Arguments) -> Result<bool> {
    let mut cargo = program::cargo(checkout);
    cargo.args(["run", "--quiet", "--release", "--package", "matcher", "--bin", "prove", "--"]);
    cargo.args([arguments.comparisons.to_string(), arguments.seed.to_string()]);
    Ok(cargo.status().context("cannot start cargo")?.success())
}

fn in_kernel(mut machine: Machine, judge: &Path, arguments: &Arguments) -> Result<bool> {
    println!("Linux {}", machine.kernel.release);
    let subject = judge.with_file_name("law-subject");
    let programs: [PathBuf; 2] = [judge.to_owned(), subject];
    machine.files.extend(programs.into_iter().zip(GUEST.map(PathBuf::from)));
    machine.deadline = DEADLINE;
    machine.cmdline.clone_from(&arguments.cmdline);
    let mut command = vec![GUEST[0].to_owned(), "--subject".to_owned(), GUEST[1].to_owned()];
    command.extend(["--comparisons".to_owned(), arguments.kernel_comparisons.to_string()]);
    command.extend(["--seed".to_owned(), arguments.seed.to_string()]);
    let out = tempfile::tempdir()?;
    let outcome = machine.run(&command, out.path(), &mut |line| println!("{line}"))?;
    Ok(outcome.status == 0)
}
