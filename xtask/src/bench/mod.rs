//! What the product costs, counted in guest instructions by a machine whose clock counts them.

mod budget;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use guest::bench::{Arm, Operation, REPORT, Report};
use serde::Serialize;

use crate::{
    binaries,
    checkout::Checkout,
    program::step,
    vm::{Archive, Host, Kernel, Machine, Series},
};

const GUEST_PROGRAM: &str = "/usr/local/bin/bench";
const STARTED_PROGRAM: &str = "/usr/local/bin/bench-nothing";
const PARSER: &str = "usr/sbin/apparmor_parser";
/// The suite of the root disk: the parser finds its libraries there.
const PARSER_PACKAGE: &str = "apparmor/trixie";
const DEADLINE: Duration = Duration::from_mins(30);

/// `cargo xtask bench`
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The kernel's series
    #[arg(long, default_value = "6.12")]
    kernel: Series,
    /// Boots; with more than one, the greatest difference between them is shown
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON: all runs, and the first one against the budgets.
#[derive(Serialize)]
struct Output<'a> {
    kernel: &'a str,
    budgets: &'a [budget::Checked],
    runs: &'a [Report],
}

/// Measures and prints. A budget that does not hold is shown and is no failure.
pub(crate) fn perform(checkout: &Checkout, arguments: &Arguments) -> Result<ExitCode> {
    let machine = machine(checkout, arguments.kernel)?;
    let reports = (1..=arguments.runs)
        .map(|run| {
            step(&format!("measuring, run {run} of {}", arguments.runs), || measure(&machine))
        })
        .collect::<Result<Vec<_>>>()?;
    let first = reports.first().context("no run")?;
    let budgets = budget::check(first);
    if arguments.json {
        let kernel = &machine.kernel.release;
        let output = Output { kernel, budgets: &budgets, runs: &reports };
        println!("{}", serde_json::to_string_pretty(&output)?);
        return Ok(ExitCode::SUCCESS);
    }
    println!("Guest instructions an operation, Linux {}:\n", machine.kernel.release);
    println!("{}\n", table::costs(first));
    println!("{}\n", table::budgets(&budgets));
    println!("Where they go, in the container with the most rules:\n");
    println!("{}", table::shares(&first.shares));
    for (arm, why) in &first.left_out {
        println!("\nNOT MEASURED: {}: {why}", table::title(*arm));
    }
    if let Some((difference, arm, operation)) = greatest_difference(&reports) {
        println!(
            "\n{} runs agree within {:.2} % ({}, {})",
            reports.len(),
            difference * 100.0,
            table::name(operation),
            table::title(arm)
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn machine(checkout: &Checkout, series: Series) -> Result<Machine> {
    let kernel = Kernel::get(checkout, series)?;
    let mut machine = Machine::new(checkout, kernel, Host::get(checkout)?)?;
    machine.icount = true;
    machine.deadline = DEADLINE;
    let bench = step("building the static programs", || binaries::program(checkout, "bench"))?;
    let nothing = binaries::program(checkout, "bench-nothing")?;
    machine.files = vec![
        (bench, GUEST_PROGRAM.into()),
        (nothing, STARTED_PROGRAM.into()),
        (apparmor_parser(checkout)?, Path::new("/").join(PARSER)),
    ];
    Ok(machine)
}

/// The parser of Debian's package, unpacked into the cache.
fn apparmor_parser(checkout: &Checkout) -> Result<PathBuf> {
    let cached = checkout.cache("apparmor")?.join("apparmor_parser");
    if cached.exists() {
        return Ok(cached);
    }
    let _lock = checkout.lock_cache()?;
    let package = tempfile::tempdir()?;
    step("fetching AppArmor's parser", || {
        Archive::open(checkout)?.unpack(&[PARSER_PACKAGE], package.path())
    })?;
    // Under another name first: what exists is complete.
    let unfinished = cached.with_extension("new");
    fs::copy(package.path().join(PARSER), &unfinished).context(PARSER)?;
    fs::rename(&unfinished, &cached)?;
    Ok(cached)
}

fn measure(machine: &Machine) -> Result<Report> {
    let out = tempfile::tempdir()?;
    let outcome =
        machine.run(&[GUEST_PROGRAM.to_owned()], out.path(), &mut |line| eprintln!("  {line}"))?;
    if outcome.status != 0 {
        bail!("measuring ended with status {}:\n{}", outcome.status, outcome.console.trim_end());
    }
    let report = out.path().join(Path::new(REPORT).file_name().context(REPORT)?);
    let report: Report = serde_json::from_slice(&fs::read(&report).context(REPORT)?)?;
    ensure!(!report.arms.is_empty(), "nothing was measured");
    Ok(report)
}

/// Instructions of one operation in one arm.
fn cost(report: &Report, arm: Arm, operation: Operation) -> Option<f64> {
    let measured = report.arms.iter().find(|measured| measured.arm == arm)?;
    measured.costs.iter().find(|cost| cost.operation == operation).map(|cost| cost.median)
}

/// What an arm adds to the plain kernel's instructions.
fn added(report: &Report, arm: Arm, operation: Operation) -> Option<f64> {
    Some(cost(report, arm, operation)? - cost(report, Arm::Plain, operation)?)
}

/// The largest difference of one number between any two runs, as a part of that number.
fn greatest_difference(reports: &[Report]) -> Option<(f64, Arm, Operation)> {
    if reports.len() < 2 {
        return None;
    }
    let arms = reports[0].arms.iter().map(|measured| measured.arm);
    arms.flat_map(|arm| Operation::ALL.map(|operation| (arm, operation)))
        .filter_map(|(arm, operation)| {
            let costs = reports.iter().map(|report| cost(report, arm, operation));
            let costs = costs.collect::<Option<Vec<f64>>>()?;
            let least = costs.iter().copied().reduce(f64::min)?;
            let most = costs.iter().copied().reduce(f64::max)?;
            Some(((most - least) / least, arm, operation))
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
}
