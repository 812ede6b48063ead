//! Behaviour in a real cluster, as a user with kubectl sees it: `cargo xtask cluster test` starts one and runs this.
#![forbid(unsafe_code)]

mod cluster;
mod install;
mod kinds;
mod manifest;
mod namespaces;
mod outages;
mod pending;
mod pods;
mod verdicts;

use std::{process::ExitCode, time::Instant};

use anyhow::Result;
use clap::Parser;

use crate::{cluster::Cluster, pending::Pending};

#[derive(Parser)]
struct Arguments {
    /// Only tests whose name contains one of these
    #[arg(long)]
    filter: Vec<String>,
}

/// A test's name, and what it does.
type Test = (&'static str, fn(&Cluster) -> Result<()>);

/// What came of the tests.
#[derive(Default)]
struct Sum {
    passed: usize,
    failed: usize,
    skipped: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cluster = Cluster::of_the_environment();
    println!("installing the agent");
    match install::install(&cluster).and_then(|()| run(&cluster, &arguments.filter)) {
        Ok(Sum { passed, failed, skipped }) => {
            println!("{passed} passed, {failed} failed, {skipped} skipped");
            if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("cluster-tests: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// All tests. What disturbs the whole cluster comes last.
fn all() -> Vec<Test> {
    [pods::TESTS, kinds::TESTS, namespaces::TESTS, verdicts::TESTS, outages::TESTS].concat()
}

fn run(cluster: &Cluster, filter: &[String]) -> Result<Sum> {
    let tests = all();
    let names: Vec<&str> = tests.iter().map(|(name, _)| *name).collect();
    let pending = Pending::read(&names)?;
    let mut sum = Sum::default();
    for (name, test) in tests {
        if !filter.is_empty() && !filter.iter().any(|part| name.contains(part)) {
            continue;
        }
        let asked_for = filter.iter().any(|part| part == name);
        if let Some(reason) = pending.reason(name).filter(|_| !asked_for) {
            sum.skipped += 1;
            println!("skip  {name} ({reason})");
            continue;
        }
        let since = Instant::now();
        match cluster.in_namespace(name, test) {
            Ok(()) => {
                sum.passed += 1;
                println!("ok    {name} ({:.1} s)", since.elapsed().as_secs_f32());
            }
            Err(error) => {
                sum.failed += 1;
                println!("FAIL  {name}: {error:#}");
            }
        }
    }
    Ok(sum)
}
