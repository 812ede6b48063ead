//! The agent in the virtual machine, for programs that need one that runs.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

const LOG: &str = "/out/agent.log";
/// The agent makes this file when stored policies are in force and clients may come.
const READY: &str = "/run/kubearmor/ready";
/// An emulated machine is slow.
const PATIENCE: Duration = Duration::from_mins(2);

/// Runs until it is dropped.
#[derive(Debug)]
pub struct Agent(Child);

impl Agent {
    /// Starts `kubearmor agent` with these flags.
    pub fn start(flags: &[&str]) -> Result<Self> {
        fs::create_dir_all("/out")?;
        let log = File::create(LOG).context(LOG)?;
        let mut agent = Command::new("kubearmor");
        agent.arg("agent").args(flags);
        agent.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        agent.spawn().map(Self).context("cannot start kubearmor")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Returns what it tells of itself.
    pub fn wait_until_ready(&mut self) -> Result<Vec<String>> {
        let since = Instant::now();
        while !Path::new(READY).exists() {
            let log = || fs::read_to_string(LOG).unwrap_or_default();
            if let Some(status) = self.0.try_wait()? {
                bail!("the agent ended with {status}:\n{}", log());
            }
            if since.elapsed() > PATIENCE {
                bail!("the agent is not ready within {PATIENCE:?}:\n{}", log());
            }
            thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(LOG).context(LOG)?;
        Ok(log.lines().map(|line| message(line).to_owned()).collect())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Fails when it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `TIME LEVEL MODULE: MESSAGE` without what comes before the message.
fn message(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(_, message)| message)
}
