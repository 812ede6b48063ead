//! Containers start and stop, with the runtime's hook asking the agent: each does what is forbidden first, and the agent
//! holds no more at the end than after the warm-up.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use guest::agent::Agent;

use crate::{
    bundle::{Bundle, SECRET, Start},
    growth::{FULL_MEMORY, Looks},
    rules,
    usage::{self, DESCRIPTORS, MAPS, MEMORY, Usage},
};

/// Looks at the agent, spread over the run, and the starts between two of them at most.
const LOOKS: usize = 20;
const LONGEST_ROUND: usize = 100;
/// Failures that are told in full.
const TOLD: usize = 5;

#[derive(Debug, Default)]
struct Tally {
    refused: usize,
    opened: usize,
    failed: Vec<String>,
}

impl Tally {
    fn started(&self) -> usize {
        self.refused + self.opened + self.failed.len()
    }

    fn count(&mut self, start: Start) {
        match start {
            Start::Refused => self.refused += 1,
            Start::Opened => self.opened += 1,
            Start::Failed(why) => self.failed.push(why),
        }
    }

    fn add(&mut self, other: Self) {
        self.refused += other.refused;
        self.opened += other.opened;
        self.failed.extend(other.failed);
    }
}

pub(crate) fn perform(starts: usize, workers: usize, runtime: &Path, own: bool) -> Result<bool> {
    let mut agent = Agent::start(&["--enableNRI=false"])?;
    agent.wait_until_ready()?;
    let bundle = Bundle::make(runtime, "first", &["open", SECRET])?;
    // Without rules it succeeds: else every start below would prove nothing.
    let start = |id: &str| if own { bundle.start_by_own(id) } else { bundle.start(id) };
    match start("free")? {
        Start::Opened => {}
        other => bail!("without a policy, a container's program should read {SECRET}: {other:?}"),
    }
    rules::forbid(SECRET, 0)?;

    let mut looks = Looks::default();
    looks.add(0, usage::look(agent.pid())?);
    let mut tally = Tally::default();
    let since = Instant::now();
    let round = starts.div_ceil(LOOKS).min(LONGEST_ROUND).max(workers);
    let resident = Bundle::make(runtime, "resident", &["pause"])?;
    while tally.started() < starts {
        let count = round.min(starts - tally.started());
        // As on any node, something runs beside what comes and goes; at each look nothing does.
        resident.begin("resident")?;
        tally.add(run_round(&start, tally.started(), count, workers)?);
        resident.end("resident")?;
        let usage = usage::look(agent.pid())?;
        println!("{}; {}", so_far(&tally, since.elapsed()), shown(&usage));
        looks.add(tally.started(), usage);
    }
    Ok(tell(&tally, &looks, warm_up(starts)))
}

fn so_far(tally: &Tally, took: Duration) -> String {
    let starts = u32::try_from(tally.started()).map_or(f64::INFINITY, f64::from);
    format!(
        "{} containers started: {} refused, {} opened, {} did not start; {:.0} a minute",
        tally.started(),
        tally.refused,
        tally.opened,
        tally.failed.len(),
        starts * 60.0 / took.as_secs_f64()
    )
}

/// What is worth following while it runs.
fn shown(usage: &Usage) -> String {
    let followed = [MEMORY, DESCRIPTORS, MAPS, "slots", "control groups"];
    let counts = followed.map(|what| {
        format!("{what}: {}", usage.get(what).map_or_else(|| "-".to_owned(), u64::to_string))
    });
    counts.join(", ")
}

/// When all that is remembered is full, or half of a run that is too short for it.
fn warm_up(starts: usize) -> usize {
    if starts > FULL_MEMORY + LONGEST_ROUND { FULL_MEMORY } else { starts / 2 }
}

/// Starts so many containers, side by side, and returns when all have ended.
fn run_round(
    start: &(impl Fn(&str) -> Result<Start> + Sync),
    first: usize,
    count: usize,
    workers: usize,
) -> Result<Tally> {
    let tallies: Vec<Result<Tally>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                scope.spawn(move || {
                    let mut tally = Tally::default();
                    for number in (first + worker..first + count).step_by(workers) {
                        tally.count(start(&format!("soak-{number}"))?);
                    }
                    Ok(tally)
                })
            })
            .collect();
        let ended = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| bail!("a worker broke down"))
        };
        threads.into_iter().map(ended).collect()
    });
    tallies.into_iter().try_fold(Tally::default(), |mut sum, tally| {
        sum.add(tally?);
        Ok(sum)
    })
}

/// Prints what came of it; true if all is as it should be.
fn tell(tally: &Tally, looks: &Looks, warm: usize) -> bool {
    println!("\n{}\n", looks.table());
    let grown = looks.grown(warm);
    for line in &grown {
        println!("GROWN since {warm} starts: {line}");
    }
    for why in tally.failed.iter().take(TOLD) {
        println!("DID NOT START: {why}");
    }
    println!(
        "{} of {} starts succeeded in what is forbidden; {} did not start; {} of what the agent holds has grown",
        tally.opened,
        tally.started(),
        tally.failed.len(),
        grown.len()
    );
    tally.opened == 0 && tally.failed.is_empty() && grown.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warm_up_leaves_enough_to_compare() {
        assert_eq!(warm_up(20_000), FULL_MEMORY);
        assert_eq!(warm_up(10_000), 5_000);
        assert_eq!(warm_up(200), 100);
    }

    #[test]
    fn every_start_is_counted_once() {
        let mut tally = Tally::default();
        tally.count(Start::Refused);
        tally.count(Start::Failed("no".to_owned()));
        let mut sum = Tally::default();
        sum.count(Start::Opened);
        sum.add(tally);
        assert_eq!((sum.refused, sum.opened, sum.failed.len(), sum.started()), (1, 1, 1, 3));
    }
}
