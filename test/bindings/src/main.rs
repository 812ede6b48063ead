//! The services as bindings see them that others generate from our `.proto`: Python's, by grpcio.
//!
//! `cargo run -p bindings` makes an environment for Python under `target/`, generates, serves fixed events from this
//! process, and runs `check.py`, which knows what it has to receive.

mod python;
mod served;

use std::{
    io::{BufRead as _, BufReader},
    process::{ExitCode, Stdio},
};

use anyhow::{Context as _, Result};

use self::{python::Python, served::Served};

fn main() -> ExitCode {
    match python::prepare().and_then(check) {
        Ok(status) => status,
        Err(error) => {
            println!("FAIL  bindings: {error:#}\n0 passed, 1 failed, 0 skipped");
            ExitCode::FAILURE
        }
    }
}

fn check(python: Result<Python, String>) -> Result<ExitCode> {
    let python = match python {
        Ok(python) => python,
        Err(reason) => {
            println!("skipped: {reason}\n0 passed, 0 failed, 1 skipped");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let served = Served::start()?;
    let mut checking = python
        .check(&[served.services.to_string(), served.metrics.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .context("starting check.py")?;
    let output = checking.stdout.take().context("no output")?;
    for line in BufReader::new(output).lines() {
        match line?.as_str() {
            // All its streams are open.
            "listening" => served.publish(),
            line => println!("{line}"),
        }
    }
    Ok(if checking.wait()?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
