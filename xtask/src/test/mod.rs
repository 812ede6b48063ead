//! `cargo xtask test`: every check and test of the project, one after the other, and their sum.

mod deny;
mod helm;
mod run;
mod steps;
mod tally;

use std::{process::ExitCode, time::Instant};

use anyhow::{Result, bail};

use self::{steps::Step, tally::Tally};
use crate::checkout::Checkout;

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Name the steps and do nothing
    #[arg(long)]
    list: bool,
    /// Only these steps
    #[arg(value_name = "STEP")]
    steps: Vec<String>,
}

/// `cargo xtask test`.
pub(crate) fn perform(checkout: &Checkout, arguments: &Arguments) -> Result<ExitCode> {
    let steps = steps::all(checkout);
    if arguments.list {
        for step in &steps {
            println!("{:<14} {}", step.name, step.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = choose(steps, &arguments.steps)?;
    let begun = Instant::now();
    let mut sum = Tally::default();
    let mut table = Vec::new();
    let count = chosen.len();
    for (number, step) in chosen.into_iter().enumerate() {
        println!("\n==> {} of {count}: {} ({})", number + 1, step.name, step.about);
        let since = Instant::now();
        let tally = run::run(checkout, &step);
        let seconds = since.elapsed().as_secs_f32();
        println!("<== {}: {tally}, {seconds:.1} s", step.name);
        table.push(format!("{:<14} {seconds:>7.1} s  {tally}", step.name));
        sum.add(tally);
    }
    println!("\n{}", table.join("\n"));
    for failure in &sum.failures {
        println!("FAILED: {failure}");
    }
    println!("took {:.1} minutes", begun.elapsed().as_secs_f32() / 60.0);
    println!("{sum}");
    Ok(if sum.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The named steps, in their usual order; all of them where none is named.
fn choose(steps: Vec<Step>, names: &[String]) -> Result<Vec<Step>> {
    let known = |name: &String| steps.iter().any(|step| step.name == *name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        bail!("there is no step {unknown}\nhint: cargo xtask test --list");
    }
    let wanted = |step: &Step| names.is_empty() || names.iter().any(|name| *name == step.name);
    Ok(steps.into_iter().filter(wanted).collect())
}
