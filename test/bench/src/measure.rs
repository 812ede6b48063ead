//! Counting: batches of one operation, the first ones thrown away.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use guest::bench::{Cost, Operation};

/// Batches until caches are warm.
const WARM_UP: u32 = 3;
/// Batches that count. Odd, so that one of them is the median.
const BATCHES: u32 = 25;
/// Operations in a batch: short against the timer's tick, so that most batches have none.
const BATCH: u32 = 16;
/// How often an operation is performed in all.
pub(crate) const RUNS: u32 = (WARM_UP + BATCHES) * BATCH;
/// Between batches the kernel's own threads get the processor for what they put off.
const PAUSE: Duration = Duration::from_millis(1);

/// Performs the operation [`RUNS`] times; it is told how often it was performed before.
pub(crate) fn cost(
    operation: Operation,
    mut perform: impl FnMut(usize) -> Result<()>,
) -> Result<Cost> {
    let mut counted = Vec::with_capacity(BATCHES as usize);
    let mut run = 0;
    for batch in 0..WARM_UP + BATCHES {
        thread::sleep(PAUSE);
        let since = Instant::now();
        for _ in 0..BATCH {
            perform(run)?;
            run += 1;
        }
        let elapsed = since.elapsed();
        if batch >= WARM_UP {
            counted.push(per_operation(elapsed));
        }
    }
    counted.sort_by(f64::total_cmp);
    Ok(Cost { operation, median: counted[counted.len() / 2], least: counted[0] })
}

/// A nanosecond of this machine's clock is an instruction.
fn per_operation(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1e9 / f64::from(BATCH)
}
