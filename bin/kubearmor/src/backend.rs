//! Which enforcer runs, and what stands in where none can.

use std::{path::PathBuf, sync::Arc, time::Duration};

use enforce::{
    EnforceError, Enforcer, Losses, NotExpressed, Placement, Repair, Repairs, WorkloadKey,
    bpf::{BpfEnforcer, Rings, Use},
};
use ruleset::RuleSet;
use sensor::{Capabilities, Counters, Held, Loaded};
use wire::Visibility;

use crate::config::{Config, OnAgentLoss};

/// What the agent needs of an enforcer beside enforcing.
pub(crate) trait Backend: Enforcer {
    /// Ends what an earlier run of the agent left in force, now that every known workload has its rules again.
    fn take_over(&mut self) -> Result<(), String>;

    /// Compares what is in the kernel with what should be there, and puts it right.
    fn compare(&mut self) -> Vec<Repair>;

    /// What was put right since the start.
    fn repairs(&self) -> Repairs;

    /// Ends enforcement on purpose, and leaves nothing behind that would outlast the agent.
    fn let_go(&mut self) -> Result<(), String>;

    /// What the programs have counted, of all workloads together.
    fn counters(&self) -> Counters;

    /// Whether a program of the workload runs by now, or has run.
    fn has_entered(&self, workload: &WorkloadKey) -> bool;

    /// How much is held for the workloads.
    fn in_use(&self) -> Use;

    /// What the kernel holds, counted there entry by entry.
    fn held(&self) -> Held;

    /// Repeats of a log within this time are counted in the next one.
    fn merge_logs(&mut self, window: Duration);

    /// Whether objects that cannot be followed to the root are permitted.
    fn permit_unresolved(&mut self, permit: bool);

    /// Keeps what is the agent's own from containers. Returns what could not be, and why.
    fn protect(&mut self, own: &[PathBuf]) -> Vec<String>;

    /// Why nothing at all is enforced, if so.
    fn idle_because(&self) -> Option<&str> {
        None
    }
}

impl Backend for BpfEnforcer {
    fn take_over(&mut self) -> Result<(), String> {
        Self::take_over(self).map_err(|error| chain(&error))
    }

    fn counters(&self) -> Counters {
        Self::counters(self)
    }

    fn in_use(&self) -> Use {
        Self::in_use(self)
    }

    fn held(&self) -> Held {
        Self::held(self)
    }

    fn compare(&mut self) -> Vec<Repair> {
        Self::compare(self)
    }

    fn repairs(&self) -> Repairs {
        Self::repairs(self).clone()
    }

    fn let_go(&mut self) -> Result<(), String> {
        Self::let_go(self).map_err(|error| chain(&error))
    }

    fn has_entered(&self, workload: &WorkloadKey) -> bool {
        Self::has_entered(self, workload)
    }

    fn merge_logs(&mut self, window: Duration) {
        Self::merge_logs(self, window);
    }

    fn permit_unresolved(&mut self, permit: bool) {
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

    fn compare(&mut self) -> Vec<Repair> {
        Vec::new()
    }

    fn repairs(&self) -> Repairs {
        Repairs::default()
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }

    fn in_use(&self) -> Use {
        Use::default()
    }

    fn held(&self) -> Held {
        Held::default()
    }

    fn let_go(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn has_entered(&self, _: &WorkloadKey) -> bool {
        false
    }

    fn merge_logs(&mut self, _: Duration) {}

    fn permit_unresolved(&mut self, _: bool) {}

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
    pub(crate) rings: Option<Rings>,
    /// What never became an event.
    pub(crate) losses: Option<Losses>,
    /// Hooks in force, and what this kernel refused.
    pub(crate) programs: Loaded,
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
        Ok((enforcer, rings)) => {
            let programs = enforcer.loaded().clone();
            let mut report =
                vec![format!("enforcer: BPF-LSM, {} hooks in force", programs.hooks.len())];
            for (object, reason) in &programs.missing {
                report.push(format!("not offered by this kernel: {object}: {reason}"));
            }
            let losses = Some(enforcer.losses().clone());
            Chosen { backend: Box::new(enforcer), rings: Some(rings), losses, programs, report }
        }
        Err(error) => nothing(chain(&error)),
    }
}

fn nothing(reason: String) -> Chosen {
    let report = vec![format!(
        "enforcer: NONE. Policies are accepted and kept, nothing is blocked: {reason}"
    )];
    let programs = Loaded::default();
    let backend = Box::new(NoEnforcer { reason });
    Chosen { backend, rings: None, losses: None, programs, report }
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
