//! `karmor`, the operator's command line.
//!
//! Data goes to standard output, everything else to standard error. Exit status: 0 done, 1 failed, 2 wrong usage;
//! `karmor policy` has statuses of its own, which its help tells.
#![forbid(unsafe_code)]

mod command;
mod endpoint;
mod event;
mod failure;
mod logs;
mod manual;
mod policy;
mod probe;
mod profile;
mod source;
mod summary;
mod sysdump;
mod table;
mod terminal;
mod top;
mod vm_policy;

use std::process::ExitCode;

use clap::Parser;
use command::{Command, Karmor, Vm, VmPolicy};

fn main() -> ExitCode {
    let done = match Karmor::parse().command {
        Command::Policy(command) => return policy::run(&command),
        Command::Logs(options) => wait_for(logs::run(&options)),
        Command::Vm(Vm::Policy(VmPolicy::Add(target))) => wait_for(vm_policy::add(&target)),
        Command::Vm(Vm::Policy(VmPolicy::Delete(target))) => wait_for(vm_policy::delete(&target)),
        Command::Probe(options) => wait_for(probe::run(&options)),
        Command::Profile(options) => wait_for(profile::run(&options)),
        Command::Top(options) => wait_for(top::run(&options)),
        Command::Summary(options) => wait_for(summary::run(&options)),
        Command::Sysdump(options) => wait_for(sysdump::run(&options)),
        Command::Version { json } => manual::version(json),
        Command::Completion { shell } => manual::completion(shell),
        Command::Man { directory } => manual::pages(&directory),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error, ExitCode::FAILURE),
    }
}

fn wait_for<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
