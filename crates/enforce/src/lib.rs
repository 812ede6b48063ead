//! The seam between what should hold and what makes it hold: [`Enforcer`] and its backends.

pub mod bpf;
mod events;

use std::{fmt, path::PathBuf, sync::Arc};

use ruleset::{RuleId, RuleSet};
use wire::Visibility;

pub use events::Events;

/// Names one workload for as long as it lives: a container's full id, or `host`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkloadKey(pub Arc<str>);

impl WorkloadKey {
    pub const HOST: &'static str = "host";
}

impl fmt::Display for WorkloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the kernel can recognise a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    Host,
    Container {
        /// The container's cgroup directory (v2), under the host's cgroup mount.
        cgroup: PathBuf,
        /// The first process as the host numbers it, if it runs already.
        pid: Option<u32>,
    },
}

/// A rule that a backend cannot make hold, and why. Never dropped in silence: it shows in the policy's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotExpressed {
    pub rule: RuleId,
    pub reason: String,
}

/// What the kernel reported, with the identity that travelled in the record already looked up.
#[derive(Clone, Debug)]
pub struct Event {
    pub workload: WorkloadKey,
    pub record: wire::Record,
    /// The rule set whose image decided; `record.rule` indexes its rules. `None` for records without a decision.
    pub rules: Option<Arc<RuleSet>>,
}

/// How much a backend holds. None of it grows with the workloads that have come and gone, beyond what is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Workloads that have a place.
    pub slots: usize,
    /// Compiled rule sets in force.
    pub images: usize,
    /// What records that are still on their way may mean; bounded.
    pub remembered: usize,
    pub kernel: sensor::Held,
}

#[derive(Debug, thiserror::Error)]
pub enum EnforceError {
    #[error("{action} for workload {workload}")]
    Kernel {
        action: &'static str,
        workload: WorkloadKey,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the rules of workload {workload} do not fit: {reason}")]
    TooLarge { workload: WorkloadKey, reason: String },
    #[error("workload {0} has no place yet")]
    NotPlaced(WorkloadKey),
}

/// A backend that enforces. One owner calls it; no method blocks for longer than a kernel map update.
pub trait Enforcer: Send {
    /// As alerts name it: `BPFLSM`, `AppArmor`, ...
    fn name(&self) -> &'static str;

    /// Makes the kernel recognise the workload. It has no rules yet. Placing a known workload again updates its place.
    fn place(&mut self, workload: &WorkloadKey, placement: &Placement) -> Result<(), EnforceError>;

    /// Replaces the workload's rules in one step, `place` having come first. When it returns the kernel answers from
    /// the new rules.
    fn apply(
        &mut self,
        workload: &WorkloadKey,
        rules: &Arc<RuleSet>,
    ) -> Result<Vec<NotExpressed>, EnforceError>;

    /// Logs what no rule of the workload speaks of, if it is of one of these classes, `place` having come first.
    fn observe(&mut self, workload: &WorkloadKey, visible: Visibility) -> Result<(), EnforceError>;

    /// Forgets a workload that has ended. Unknown ones are ignored.
    fn remove(&mut self, workload: &WorkloadKey) -> Result<(), EnforceError>;
}
