//! Where the instructions go, by the kernel's own count of its programs' runs and time.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Context, Result};
use guest::bench::{Operation, Share};
use libbpf_rs::query::ProgInfoIter;

use crate::measure;

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// The programs' counts at one moment, by their id.
pub(crate) struct Shares {
    programs: BTreeMap<u32, Count>,
}

struct Count {
    name: String,
    runs: u64,
    time: Duration,
}

/// Makes the kernel count, which costs a little at each run.
pub(crate) fn count_programs(on: bool) -> Result<()> {
    fs::write(SWITCH, if on { "1" } else { "0" }).context(SWITCH)
}

impl Shares {
    /// The counts before an operation is measured.
    pub(crate) fn before() -> Self {
        let programs = ProgInfoIter::default()
            .map(|program| {
                let name = program.name.to_string_lossy().into_owned();
                (
                    program.id,
                    Count {
                        name,
                        runs: program.run_cnt,
                        time: Duration::from_nanos(program.run_time_ns),
                    },
                )
            })
            .collect();
        Self { programs }
    }

    /// What each program that ran took of one operation, the dearest first.
    pub(crate) fn since(&self, operation: Operation) -> Vec<Share> {
        let performed = measure::runs(operation);
        let now = Self::before();
        let mut shares: Vec<Share> = now
            .programs
            .iter()
            .filter_map(|(id, after)| {
                let before = self.programs.get(id)?;
                let runs = after.runs - before.runs;
                // What ran less often belongs to something else.
                (runs >= u64::from(performed)).then(|| Share {
                    operation,
                    program: after.name.clone(),
                    runs: f64::from(u32::try_from(runs).unwrap_or(u32::MAX)) / f64::from(performed),
                    instructions: after.time.saturating_sub(before.time).as_secs_f64() * 1e9
                        / f64::from(performed),
                })
            })
            .collect();
        shares.sort_by(|a, b| b.instructions.total_cmp(&a.instructions));
        shares
    }
}
