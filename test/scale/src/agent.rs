//! The agent under measurement.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::memory::Memory;

const LOG: &str = "/out/agent.log";
/// The agent makes this file when policies are in force and clients may come.
const READY: &str = "/run/kubearmor/ready";
const PATIENCE: Duration = Duration::from_mins(5);
/// How long an agent with nothing to do is watched.
const WATCHED: Duration = Duration::from_secs(20);

/// Runs until it is dropped.
pub(crate) struct Agent(Child);

impl Agent {
    /// Returns once it is ready.
    pub(crate) fn start(policies: &str) -> Result<Self> {
        // One that was there before was killed and has left it.
        let _ = fs::remove_file(READY);
        let log = File::create(LOG).context(LOG)?;
        let mut command = Command::new("kubearmor");
        command.args(["agent", "--policies", policies, "--enableKubeArmorHostPolicy=false"]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut agent = Self(command.spawn().context("cannot start kubearmor")?);
        let since = Instant::now();
        while !Path::new(READY).exists() {
            let log = || fs::read_to_string(LOG).unwrap_or_default();
            if let Some(status) = agent.0.try_wait()? {
                bail!("the agent ended with {status}:\n{}", log());
            }
            if since.elapsed() > PATIENCE {
                bail!("the agent is not ready within {PATIENCE:?}:\n{}", log());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(agent)
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        Memory::of(self.0.id())
    }

    /// Which part of a processor it takes while nothing happens.
    pub(crate) fn busy_share(&self) -> Result<f64> {
        let before = self.processor_time()?;
        let since = Instant::now();
        // Nothing is waited for: this is what is measured.
        thread::sleep(WATCHED);
        let taken = self.processor_time()?.saturating_sub(before);
        Ok(taken.as_secs_f64() / since.elapsed().as_secs_f64())
    }

    /// From the scheduler's accounts, which count ns.
    fn processor_time(&self) -> Result<Duration> {
        let mut taken = 0;
        let tasks = format!("/proc/{}/task", self.0.id());
        for task in fs::read_dir(&tasks).context(tasks)? {
            let path = task?.path().join("schedstat");
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let running = text.split_whitespace().next().unwrap_or_default();
            taken += running.parse::<u64>().with_context(|| path.display().to_string())?;
        }
        Ok(Duration::from_nanos(taken))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Fails when it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
