//! `law`: whether the kernel programs decide by the law. Generated rules are put into force for a container, its
//! programs attempt generated accesses, and every answer and every alert is compared with `ruleset::decide`.
//!
//! What is attempted: reading, writing, looking at metadata, executing; unlink, rename, link, mkdir, rmdir, mknod,
//! truncate, chmod, chown, utimes, setxattr; sockets made, bound, connected and sent from; two capabilities.
//!
//! What is not drawn, and what covers it: presets, since who entered and where a program lies is the court's doing
//! (cases `preset-*`); DNS queries, which need a server to ask (cases `dns-*`); rules on system calls, since subjects
//! make calls of their own beside those that are attempted (cases `syscall-*`); listening and accepting (`net-*`); ACLs,
//! flags and symbolic links (`read-only-*`, `owner-only-every-operation`, `terminal-only-every-operation`); hosts
//! (`host-*`). Their meaning in images is drawn on the host by `test/matcher`.
//!
//! Enforces, so it is for the virtual machine: `cargo xtask prove` runs it there.
#![forbid(unsafe_code)]

mod court;
mod deed;
mod subject;
mod world;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Result, ensure};
use clap::Parser;
use matcher::{Draw, generate::rule_set};
use proptest::collection;
use ruleset::{Object, RuleSet};

use crate::court::Court;

#[derive(Parser)]
struct Arguments {
    /// How many accesses are attempted
    #[arg(long, default_value_t = 2_000)]
    comparisons: usize,
    /// The same seed tries the same rules and accesses
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The program that acts: `law-subject`
    #[arg(long)]
    subject: PathBuf,
}

/// Accesses for each rule set.
const ACCESSES: usize = 60;

fn main() -> ExitCode {
    match perform(&Arguments::parse()) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("law: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn describe(set: &RuleSet) {
    for (id, rule) in set.numbered() {
        println!("  {id}: {rule:?}");
    }
    println!("  {:?}, multi-call {:?}", set.postures, set.multicall);
}

fn perform(arguments: &Arguments) -> Result<ExitCode> {
    // The test bed's first process; on any other machine rules like these would be an outage.
    ensure!(guest::is_here(), "only the test bed's virtual machine may be governed like this");
    let mut court = Court::open(&arguments.subject)?;
    let attempts = collection::vec(deed::attempt(&court.world), ACCESSES);
    let (mut compared, mut refused, mut round) = (0, 0, 0_u64);
    while compared < arguments.comparisons {
        let mut draw = Draw::seeded(arguments.seed.wrapping_mul(1 << 40).wrapping_add(round));
        let mut set = draw.next(&rule_set());
        // What presets watch for is no deed's doing: who entered, and where a program lies, is the court's.
        set.rules.retain(|rule| !matches!(rule.object, Object::Preset(_)));
        let set = Arc::new(set);
        let attempts = draw.next(&attempts);
        match court.try_rules(&set, &attempts)? {
            None => refused += 1,
            Some(wrong) if wrong.is_empty() => compared += attempts.len(),
            Some(wrong) => {
                println!("round {round} of seed {}: under", arguments.seed);
                describe(&set);
                println!("{}", wrong.join("\n"));
                return Ok(ExitCode::FAILURE);
            }
        }
        round += 1;
        if round.is_multiple_of(50) {
            println!("{compared} accesses so far");
        }
    }
    println!(
        "{compared} accesses under {} rule sets were answered and reported by the law; \
         {refused} rule sets with too many conditions at one place were refused",
        round - refused
    );
    Ok(ExitCode::SUCCESS)
}
