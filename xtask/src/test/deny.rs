//! cargo-deny, of one version, built once into the cache.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    checkout::Checkout,
    program::{self, step},
};

const VERSION: &str = "0.20.2";

/// `cargo-deny` for this workspace.
pub(super) fn command(checkout: &Checkout) -> Result<Command> {
    let mut command = Command::new(program(checkout)?);
    command.current_dir(checkout.root()).args(["--locked", "--workspace"]);
    Ok(command)
}

/// Fetches the database of advisories.
pub(super) fn fetch_advisories(checkout: &Checkout) -> Result<()> {
    let mut fetch = command(checkout)?;
    program::run(fetch.args(["fetch", "db"])).context("the database of advisories is out of reach")
}

fn program(checkout: &Checkout) -> Result<PathBuf> {
    let root = checkout.cache("tools")?.join(format!("cargo-deny-{VERSION}"));
    let program = root.join("bin/cargo-deny");
    if program.exists() {
        return Ok(program);
    }
    step(&format!("building cargo-deny {VERSION}, once"), || {
        let mut cargo = program::cargo(checkout);
        cargo.args(["install", "--locked", "--quiet", "cargo-deny", "--version", VERSION]);
        // Optimising it would take longer than it ever runs.
        cargo.arg("--debug").arg("--root").arg(&root);
        program::run(&mut cargo)
    })?;
    Ok(program)
}
