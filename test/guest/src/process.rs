//! Child processes of the first process, which must also bury every orphan.

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};

/// Search path of everything the guest starts.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Starts a program in a session of its own environment, as a login of root would see it.
pub(crate) fn start(command: &mut Command) -> Result<Child> {
    let name = command.get_program().display().to_string();
    command
        .env("PATH", PATH)
        .env("HOME", "/root")
        .env("USER", "root")
        .env("LANG", "C.UTF-8")
        .process_group(0)
        .spawn()
        .with_context(|| format!("start {name}"))
}

/// Runs a program to its end, burying orphans meanwhile; the status as a shell counts it.
pub(crate) fn run(command: &mut Command) -> Result<i32> {
    let child = start(command)?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((ended, status))) if Some(ended) == pid => return Ok(shell_status(status)),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for children"),
        }
    }
}

/// Runs a program that has no business failing.
pub(crate) fn check(command: &mut Command) -> Result<()> {
    let status = run(command)?;
    if status != 0 {
        bail!("{command:?} ended with status {status}");
    }
    Ok(())
}

fn shell_status(status: WaitStatus) -> i32 {
    status.exit_status().or_else(|| status.terminating_signal().map(|s| 128 + s)).unwrap_or(1)
}
