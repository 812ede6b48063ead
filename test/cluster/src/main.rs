//! Behaviour in a real cluster, as a user with kubectl sees it: `cargo xtask cluster test` starts one and runs this.
#![forbid(unsafe_code)]

mod cluster;
mod install;
mod kinds;
mod manifest;
mod namespaces;
mod outages;
mod pods;
mod verdicts;

use std::{process::ExitCode, time::Instant};

use anyhow::Result;
use clap::Parser;

use crate::cluster::Cluster;

#[derive(Parser)]
struct Arguments {
    /// Only tests whose name contains one of these
    #[arg(long)]
    filter: Vec<String>,
}

/// What is shown, and how.
type Test = (&'static str, fn(&Cluster) -> Result<()>);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cluster = Cluster::of_the_environment();
    println!("installing the agent");
    if let Err(error) = install::install(&cluster) {
        eprintln!("cluster-tests: {error:#}");
        return ExitCode::FAILURE;
    }
    let wanted = |name: &str| {
        arguments.filter.is_empty() || arguments.filter.iter().any(|part| name.contains(part))
    };
    let tests: Vec<Test> =
        [pods::TESTS, kinds::TESTS, namespaces::TESTS, verdicts::TESTS, outages::TESTS].concat();
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in tests.into_iter().filter(|(name, _)| wanted(name)) {
        let since = Instant::now();
        let outcome = cluster.in_namespace(name, test);
        let seconds = since.elapsed().as_secs_f32();
        match outcome {
            Ok(()) => {
                passed += 1;
                println!("ok    {name} ({seconds:.1} s)");
            }
            Err(error) => {
                failed += 1;
                println!("FAIL  {name}: {error:#}");
            }
        }
    }
    println!("{passed} passed, {failed} failed, 0 skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
