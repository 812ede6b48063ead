//! What a measurement of the product's cost brings back from the guest.

use serde::{Deserialize, Serialize};

/// Where the guest leaves its [`Report`] as JSON.
pub const REPORT: &str = "/out/bench.json";
/// Numbers of rules that workloads are governed by.
pub const RULES: [u32; 4] = [1, 100, 1_000, 10_000];
/// Number of rules in the `AppArmor` profile. Few, because its parser has to run in the emulated
/// machine; the automaton it makes takes a step for each byte of a path, however many rules there are.
pub const APPARMOR_RULES: u32 = 100;

/// Under what the operations were measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Arm {
    /// The kernel as it boots.
    Plain,
    /// Confined by an `AppArmor` profile that says what [`APPARMOR_RULES`] of our rules say.
    AppArmor,
    /// The programs are loaded; the task is in no container and the host is not protected.
    Unlabelled,
    /// A container that no policy selects.
    Unprotected,
    /// The same, with everything that it does logged, repeats merged.
    Logged,
    /// A container governed by so many rules for paths.
    Governed(u32),
}

/// What was done and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operation {
    /// Open and close a file that was opened before.
    OpenAgain,
    /// Open and close a file for the first time, in a directory in which others were opened.
    OpenInKnownDirectory,
    /// Open and close a file in a directory where nothing was opened before.
    OpenInNewDirectory,
    /// Write a byte to `/dev/null`, the file that does least itself.
    Write,
    /// Make a TCP socket and close it.
    Socket,
    /// Start a static program that ends at once, and wait for it.
    Spawn,
    /// The same with Debian's `/usr/bin/true`, whose loader opens three files.
    SpawnDynamic,
}

impl Operation {
    /// In the order in which they are measured and shown.
    pub const ALL: [Self; 7] = [
        Self::OpenInNewDirectory,
        Self::OpenInKnownDirectory,
        Self::OpenAgain,
        Self::Write,
        Self::Socket,
        Self::Spawn,
        Self::SpawnDynamic,
    ];
}

/// Guest instructions of one operation.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Cost {
    pub operation: Operation,
    /// Over the batches.
    pub median: f64,
    /// The cheapest batch.
    pub least: f64,
}

/// Where instructions go: one kernel program's share of one operation, as the kernel itself
/// counts. Counting adds some fifty instructions to each run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Share {
    pub operation: Operation,
    pub program: String,
    /// Runs in one operation.
    pub runs: f64,
    /// Instructions in one operation, all runs together.
    pub instructions: f64,
}

/// One arm's results.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    pub arm: Arm,
    pub costs: Vec<Cost>,
}

/// All that one boot measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub arms: Vec<Measured>,
    /// Of a workload governed by the most rules.
    pub shares: Vec<Share>,
    /// Arms that could not be measured, and why.
    pub left_out: Vec<(Arm, String)>,
}
