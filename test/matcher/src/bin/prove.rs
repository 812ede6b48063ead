//! `prove [COMPARISONS] [SEED]`: compares the readings of the law for as many accesses as are asked for, on all
//! processors. What is generated for a round depends on the seed and the round's number alone, so a disagreement
//! can be looked at again.

use std::{
    env,
    process::ExitCode,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use matcher::{
    Draw, Outcome, compare,
    generate::{access, crowded_access, crowded_rule_set, rule_set},
};
use proptest::collection;

/// Accesses for each rule set.
const ACCESSES: usize = 100;
/// Every so many rounds, one is of rules whose conditions meet at one place.
const CROWDED: u64 = 4;

#[derive(Default)]
struct Progress {
    next_round: AtomicU64,
    compared: AtomicU64,
    /// Rule sets that cannot be compiled, and would be refused.
    refused: AtomicU64,
    failed: AtomicBool,
}

fn main() -> ExitCode {
    let mut numbers = env::args().skip(1).map(|word| word.replace('_', "").parse::<u64>());
    let (Ok(wanted), Ok(seed)) =
        (numbers.next().unwrap_or(Ok(10_000_000)), numbers.next().unwrap_or(Ok(1)))
    else {
        eprintln!("usage: prove [COMPARISONS] [SEED]");
        return ExitCode::from(2);
    };
    let progress = Progress::default();
    let since = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..thread::available_parallelism().map_or(1, usize::from))
            .map(|_| scope.spawn(|| work(&progress, wanted, seed)))
            .collect();
        let mut told = Instant::now();
        while workers.iter().any(|worker| !worker.is_finished()) {
            thread::sleep(Duration::from_millis(100));
            if told.elapsed() >= Duration::from_secs(10) {
                told = Instant::now();
                println!("{} of {wanted} comparisons", progress.compared.load(Ordering::Relaxed));
            }
        }
    });
    let compared = progress.compared.into_inner();
    println!(
        "{compared} accesses decided alike by the law, the interpreter and the C matcher; \
         {} rule sets with too many conditions at one place were refused; seed {seed}, {:.0} s",
        progress.refused.into_inner(),
        since.elapsed().as_secs_f32(),
    );
    if progress.failed.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn work(progress: &Progress, wanted: u64, seed: u64) {
    while progress.compared.load(Ordering::Relaxed) < wanted
        && !progress.failed.load(Ordering::Relaxed)
    {
        let round = progress.next_round.fetch_add(1, Ordering::Relaxed);
        let mut draw = Draw::seeded(seed.wrapping_mul(1 << 40).wrapping_add(round));
        let (set, accesses) = if round.is_multiple_of(CROWDED) {
            (
                draw.next(&crowded_rule_set()),
                draw.next(&collection::vec(crowded_access(), ACCESSES)),
            )
        } else {
            (draw.next(&rule_set()), draw.next(&collection::vec(access(), ACCESSES)))
        };
        match compare(&set, &accesses) {
            Outcome::Agreed => {
                progress.compared.fetch_add(ACCESSES as u64, Ordering::Relaxed);
            }
            Outcome::Refused(compile::CompileError::PlanTooLong { .. }) => {
                progress.refused.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Refused(error) => {
                progress.failed.store(true, Ordering::Relaxed);
                eprintln!("round {round} of seed {seed}: {error}\n  under {set:#?}");
            }
            Outcome::Disagreed(disagreement) => {
                progress.failed.store(true, Ordering::Relaxed);
                eprintln!("round {round} of seed {seed}: {disagreement}");
            }
        }
    }
}
