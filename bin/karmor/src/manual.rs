//! What the program says of itself: version, completion scripts, manual pages.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::command::Karmor;

pub(crate) fn version() -> anyhow::Result<()> {
    let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    writeln!(io::stdout(), "karmor version {} {platform}", env!("CARGO_PKG_VERSION"))?;
    Ok(())
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
