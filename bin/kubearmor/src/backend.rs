//! Which enforcer runs, and what stands in where none can.

use std::{path::PathBuf, sync::Arc, time::Duration};

use enforce::{
    EnforceError, Enforcer, Events, NotExpressed, Placement, Usage, WorkloadKey, bpf::BpfEnforcer,
};
use ruleset::RuleSet;
use sensor::Capabilities;
use wire::Visibility;

use crate::config::{Config, OnAgentLoss};

/// Records that found the kernel's rings full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) alerts: u64,
    pub(crate) logs: u64,
}

/// What the agent needs of an enforcer beside enforcing.
pub(crate) trait Backend: Enforcer {
    /// Ends what an earlier run of the agent left in force, now that every known workload has its rules again.
    fn take_over(&mut self) -> Result<(), String>;

    /// What the kernel could not hand over since the programs were loaded.
    fn lost(&self) -> Lost;

    /// Whether a program of the workload runs by now, or has run.
    fn has_entered(&self, workload: &WorkloadKey) -> bool;

    /// How much it holds for the workloads.
    fn usage(&self) -> Usage;

    /// Repeats of a log within this time are counted in the next one.
    fn merge_logs(&self, window: Duration);

    /// Whether objects that cannot be followed to the root are permitted.
    fn permit_unresolved(&self, permit: bool);

    /// Keeps what is the agent's own from containers. Returns what could not be, and why.
    fn protect(&mut self, own: &[PathBuf]) -> Vec<String>;

    /// Why nothing at all is enforced, if so.
    fn idle_because(&self) -> Option<&str> {
        None
    }
}

impl Backend for BpfEnforcer {
    fn take_over(&mut self) -> Result<(), String> {
        Self::take_over(self).map_err(|error| error.to_string())
    }

    fn lost(&self) -> Lost {
        let counters = self.counters();
        Lost { alerts: counters.lost_alerts, logs: counters.lost_logs }
    }

    fn has_entered(&self, workload: &WorkloadKey) -> bool {
        Self::has_entered(self, workload)
    }

    fn usage(&self) -> Usage {
        Self::usage(self)
    }

    fn merge_logs(&self, window: Duration) {
        Self::merge_logs(self, window);
    }

    fn permit_unresolved(&self, permit: bool) {
        Self::permit_unresolved(self, permit);
    }

    fn protect(&mut self, own: &[PathBuf]) -> Vec<String> {
        Self::protect(self, own)
    }
}

/// Stands where the kernel offers nothing to enforce with: policies are kept, and their status says why they do nothing.
#[derive(Debug)]
pub(crate) struct NoEnforcer {
    pub(crate) reason: String,
}

impl Enforcer for NoEnforcer {
    fn name(&self) -> &'static str {
        "NONE"
    }

    fn place(&mut self, _: &WorkloadKey, _: &Placement) -> Result<(), EnforceError> {
        Ok(())
    }

    fn apply(
        &mut self,
        _: &WorkloadKey,
        _: &Arc<RuleSet>,
    ) -> Result<Vec<NotExpressed>, EnforceError> {
        Ok(Vec::new())
    }

    fn observe(&mut self, _: &WorkloadKey, _: Visibility) -> Result<(), EnforceError> {
        Ok(())
    }

    fn remove(&mut self, _: &WorkloadKey) -> Result<(), EnforceError> {
        Ok(())
    }
}

impl Backend for NoEnforcer {
    fn take_over(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn lost(&self) -> Lost {
        Lost::default()
    }

    fn has_entered(&self, _: &WorkloadKey) -> bool {
        false
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }

    fn merge_logs(&self, _: Duration) {}

    fn permit_unresolved(&self, _: bool) {}

    fn protect(&mut self, _: &[PathBuf]) -> Vec<String> {
        Vec::new()
    }

    fn idle_because(&self) -> Option<&str> {
        Some(&self.reason)
    }
}

/// The enforcer in force, where its events come from, and what to tell the operator.
pub(crate) struct Chosen {
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) events: Option<Events>,
    /// Lines of the start-up report.
    pub(crate) report: Vec<String>,
}

/// Starts the best enforcer that the configuration allows and this kernel offers.
pub(crate) fn choose(config: &Config, capabilities: &Capabilities) -> Chosen {
    let wanted = config.lsm.split(',').map(str::trim).any(|name| name == "bpf");
    if !wanted {
        return nothing(format!("the key `lsm` is `{}`; put `bpf` into it", config.lsm));
    }
    if !capabilities.bpf_lsm() {
        return nothing(capabilities.missing().collect::<Vec<_>>().join("; "));
    }
    let options = sensor::Options {
        bpffs: Some(config.bpf_fs_path.clone()),
        pin: config.on_agent_loss == OnAgentLoss::Keep,
    };
    match BpfEnforcer::start(&options) {
        Ok((enforcer, events)) => {
            let loaded = enforcer.loaded();
            let mut report =
                vec![format!("enforcer: BPF-LSM, {} hooks in force", loaded.hooks.len())];
            for (object, reason) in &loaded.missing {
                report.push(format!("not offered by this kernel: {object}: {reason}"));
            }
            Chosen { backend: Box::new(enforcer), events: Some(events), report }
        }
        Err(error) => nothing(chain(&error)),
    }
}

fn nothing(reason: String) -> Chosen {
    let report = vec![format!(
        "enforcer: NONE. Policies are accepted and kept, nothing is blocked: {reason}"
    )];
    Chosen { backend: Box::new(NoEnforcer { reason }), events: None, report }
}

/// An error with its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some errors already say what their cause says.
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
