//! Confinement by `AppArmor`.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::rules::PROFILE;

const PARSER: &str = "/usr/sbin/apparmor_parser";
const ENABLED: &str = "/sys/module/apparmor/parameters/enabled";

/// Loads a profile into the kernel.
pub(crate) fn load(profile: &str) -> Result<()> {
    let enabled = fs::read_to_string(ENABLED).unwrap_or_default();
    ensure!(enabled.trim() == "Y", "this kernel runs without AppArmor");
    ensure!(Path::new(PARSER).exists(), "{PARSER} is missing");
    let file = Path::new("/run/bench.apparmor");
    fs::write(file, profile)?;
    let output = Command::new(PARSER)
        .args(["--replace", "--skip-cache", "--quiet"])
        .arg(file)
        .output()
        .context(PARSER)?;
    ensure!(
        output.status.success(),
        "{PARSER} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(())
}

/// As [`Command::new`] of `chrt`, under the profile.
pub(crate) fn confined() -> Command {
    // The shell enters the profile at its own exec of what follows.
    let mut shell = Command::new("/bin/sh");
    let enter = format!("echo exec {PROFILE} > /proc/self/attr/apparmor/exec && exec \"$@\"");
    shell.args(["-c", &enter, "sh", "chrt"]);
    shell
}
