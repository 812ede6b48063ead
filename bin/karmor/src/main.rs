//! `karmor`, the operator's command line.
//!
//! Data goes to standard output, everything else to standard error. Exit status: 0 done, 1 failed, 2 wrong usage.
#![forbid(unsafe_code)]

mod command;
mod endpoint;
mod failure;
mod logs;
mod manual;
mod probe;
mod vm_policy;

use std::process::ExitCode;

use clap::Parser;
use command::{Command, Karmor, Vm, VmPolicy};

fn main() -> ExitCode {
    let karmor = Karmor::parse();
    match run(karmor.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match command {
        Command::Logs(options) => runtime.block_on(logs::run(&options)),
        Command::Vm(Vm::Policy(VmPolicy::Add(target))) => runtime.block_on(vm_policy::add(&target)),
        Command::Vm(Vm::Policy(VmPolicy::Delete(target))) => {
            runtime.block_on(vm_policy::delete(&target))
        }
        Command::Probe(options) => runtime.block_on(probe::run(&options)),
        Command::Version => manual::version(),
        Command::Completion { shell } => manual::completion(shell),
        Command::Man { directory } => manual::pages(&directory),
    }
}
