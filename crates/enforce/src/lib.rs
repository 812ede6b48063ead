//! The seam between what should hold and what makes it hold: [`Enforcer`] and its backends.

pub mod bpf;
mod events;
mod gap;
mod losses;
mod repairs;

use std::{fmt, path::PathBuf, sync::Arc};

use ruleset::{RuleId, RuleSet};
use wire::Visibility;

pub use events::{Events, News};
pub use gap::Gap;
pub use losses::Losses;
pub use repairs::Repairs;
pub use sensor::{Lost, Repair, RepairKind};

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
        /// The container's cgroup directory, under the host's cgroup mount: in the v2 hierarchy, or in that of `devices`
        /// of v1. All containers of a host are in one of the two.
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
    #[error("refusing the files that are open already and that rules deny by now")]
    OpenFiles(#[source] Box<dyn std::error::Error + Send + Sync>),
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
    /// the new rules; what they mean for files that are open already is for [`Enforcer::settle`].
    fn apply(
        &mut self,
        workload: &WorkloadKey,
        rules: &Arc<RuleSet>,
    ) -> Result<Vec<NotExpressed>, EnforceError>;

    /// Completes a change, once for all workloads that it concerns: rules that were applied since hold for what is under
    /// way already, such as open files (which takes a look at every task of the machine), and the rules before them are
    /// forgotten. Until then there is room to apply those again.
    fn settle(&mut self) -> Result<(), EnforceError> {
        Ok(())
    }

    /// Logs what no rule of the workload speaks of, if it is of one of these classes, `place` having come first.
    fn observe(&mut self, workload: &WorkloadKey, visible: Visibility) -> Result<(), EnforceError>;

    /// Forgets a workload that has ended. Unknown ones are ignored.
    fn remove(&mut self, workload: &WorkloadKey) -> Result<(), EnforceError>;
}
