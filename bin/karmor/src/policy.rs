//! `karmor policy`: what policies mean, asked without an agent, a cluster or any right.
//!
//! Everything here decides with `ruleset::decide` and the automata of `compile`, as the enforcer does.

mod accesses;
mod context;
mod diff;
mod explain;
mod files;
mod lint;
mod postures;
mod set;
mod simulate;
mod snippet;
mod words;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::{self, Told};

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Find mistakes, and rules that do not mean what they seem to
    Lint(lint::LintOptions),
    /// Tell what becomes of one access, which rule decides it, and what would turn that round
    #[command(after_help = explain::EXIT_STATUS)]
    Explain(Box<explain::Options>),
    /// Tell what two sets of policies decide differently, with an access to show it
    #[command(after_help = diff::EXIT_STATUS)]
    Diff(Box<diff::Options>),
    /// Tell what policies would have decided about what a log recorded, or about what happens now
    #[command(after_help = simulate::EXIT_STATUS)]
    Simulate(Box<simulate::Options>),
}

/// Nothing to report, something to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Clean,
    Findings,
}

pub(crate) fn run(command: &PolicyCommand) -> ExitCode {
    let outcome = match command {
        PolicyCommand::Lint(options) => match lint::run(options) {
            Err(error) if error.is::<Told>() => Ok(Outcome::Findings),
            done => done.map(|()| Outcome::Clean),
        },
        PolicyCommand::Explain(options) => explain::run(options),
        PolicyCommand::Diff(options) => diff::run(options),
        PolicyCommand::Simulate(options) => simulate::run(options),
    };
    match outcome {
        Ok(Outcome::Clean) => ExitCode::SUCCESS,
        Ok(Outcome::Findings) => ExitCode::from(1),
        Err(error) => failure::report(&error, ExitCode::from(2)),
    }
}
