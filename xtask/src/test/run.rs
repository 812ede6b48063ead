//! Running one step: its lines are shown as they come and counted.

use std::{
    io::{BufRead, BufReader, PipeReader},
    process::Command,
};

use anyhow::{Context, Result};

use super::{
    deny, helm,
    steps::{Step, Work},
    tally::{Listener, Tally},
};
use crate::{checkout::Checkout, program};

/// Runs a step. A step that could not run has failed.
pub(super) fn run(checkout: &Checkout, step: &Step) -> Tally {
    attempt(checkout, step).unwrap_or_else(|error| {
        println!("{error:#}");
        Tally::failed(format!("{}: {error:#}", step.name))
    })
}

fn attempt(checkout: &Checkout, step: &Step) -> Result<Tally> {
    match &step.work {
        Work::Cargo(arguments) => {
            let mut cargo = program::cargo(checkout);
            cargo.args(arguments);
            follow(cargo, step)
        }
        Work::Deny(arguments) => {
            let mut deny = deny::command(checkout)?;
            deny.args(arguments);
            follow(deny, step)
        }
        Work::Advisories => {
            if let Err(error) = deny::fetch_advisories(checkout) {
                println!("skipped: {error:#}");
                return Ok(Tally::skipped());
            }
            let mut deny = deny::command(checkout)?;
            deny.args(["check", "advisories"]);
            follow(deny, step)
        }
        Work::Chart => match helm::check(checkout)? {
            Ok(check) => follow(check, step),
            Err(reason) => {
                println!("skipped: {reason}");
                Ok(Tally::skipped())
            }
        },
        Work::Nothing(reason) => {
            println!("skipped: {reason}");
            Ok(Tally::skipped())
        }
    }
}

/// Both outputs through one pipe, so that lines stay in their order.
fn follow(mut command: Command, step: &Step) -> Result<Tally> {
    let (reader, writer) = std::io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().map_err(|error| program::not_started(&command, error))?;
    // Our copies of the pipe's end would keep it open.
    drop(command);
    let mut listener = Listener::new(step.voice);
    show(reader, &mut listener)?;
    let status = child.wait().context("waiting for the step")?;
    Ok(listener.close(step.name, status.success()))
}

fn show(reader: PipeReader, listener: &mut Listener) -> Result<()> {
    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        let text = String::from_utf8_lossy(&bytes);
        let line = text.trim_end_matches(['\r', '\n']);
        if listener.hear(line) {
            println!("{line}");
        }
        bytes.clear();
    }
    Ok(())
}
