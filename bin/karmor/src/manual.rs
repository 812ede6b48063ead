//! What the program says of itself: version, completion scripts, manual pages.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::json;

use crate::command::Karmor;

pub(crate) fn version(json: bool) -> anyhow::Result<()> {
    let (version, (system, processor)) = (env!("CARGO_PKG_VERSION"), platform());
    if json {
        let object = json!({"Version": version, "OS": system, "Arch": processor});
        writeln!(io::stdout(), "{object}")?;
    } else {
        writeln!(io::stdout(), "{}", version_line())?;
    }
    Ok(())
}

/// Without the end of the line.
pub(crate) fn version_line() -> String {
    let (system, processor) = platform();
    format!("karmor version {} {system}/{processor}", env!("CARGO_PKG_VERSION"))
}

fn platform() -> (&'static str, &'static str) {
    (std::env::consts::OS, std::env::consts::ARCH)
}

pub(crate) fn completion(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Karmor::command(), "karmor", &mut script);
    io::stdout().write_all(&script)?;
    Ok(())
}

pub(crate) fn pages(directory: &Path) -> anyhow::Result<()> {
    clap_mangen::generate_to(Karmor::command(), directory)
        .with_context(|| format!("cannot write manual pages to {}", directory.display()))
}
