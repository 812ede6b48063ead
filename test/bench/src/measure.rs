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
/// Performances of an operation in all, at most.
pub(crate) const MOST_RUNS: u32 = runs(Operation::OpenAgain);
/// Between batches the kernel's own threads get the processor for what they put off.
const PAUSE: Duration = Duration::from_millis(1);

/// Performances in a batch: short against the timer's tick, so that most batches have none. Starting
/// programs leaves work behind that later starts pay for, so a few must share it.
const fn batch(operation: Operation) -> u32 {
    match operation {
        Operation::Spawn | Operation::SpawnDynamic => 8,
        _ => 16,
    }
}

/// How often [`cost`] performs an operation.
pub(crate) const fn runs(operation: Operation) -> u32 {
    (WARM_UP + BATCHES) * batch(operation)
}

/// Performs the operation [`runs`] times; it is told how often it was performed before.
pub(crate) fn cost(
    operation: Operation,
    mut perform: impl FnMut(usize) -> Result<()>,
) -> Result<Cost> {
    let mut counted = Vec::with_capacity(BATCHES as usize);
    let mut run = 0;
    for number in 0..WARM_UP + BATCHES {
        thread::sleep(PAUSE);
        let since = Instant::now();
        for _ in 0..batch(operation) {
            perform(run)?;
            run += 1;
        }
        // A nanosecond of this machine's clock is an instruction.
        let instructions = since.elapsed().as_secs_f64() * 1e9;
        if number >= WARM_UP {
            counted.push(instructions / f64::from(batch(operation)));
        }
    }
    counted.sort_by(f64::total_cmp);
    Ok(Cost { operation, median: counted[counted.len() / 2], least: counted[0] })
}
