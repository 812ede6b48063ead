//! A tight loop on a forbidden file, with busy neighbours inside and outside and a policy that keeps changing: not one
//! open succeeds.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use guest::agent::Agent;

use crate::{
    bundle::{Bundle, NOTE, SECRET},
    rules,
};

/// Opens of one container.
const CHUNK: u64 = 1_000_000;
/// What a neighbour does until it is ended.
const FOR_EVER: &str = "1000000000000";
/// Neighbours get a share of the processor, and take it away from the loop at any moment, without halving its speed.
const NICE: &str = "10";
const PREEMPTION: &str = "/sys/kernel/debug/sched/preempt";

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    opened: u64,
    refused: u64,
}

pub(crate) fn perform(opens: u64, runtime: &Path) -> Result<bool> {
    println!("preemption: {}", preemption()?);
    let mut agent = Agent::start(&["--enableNRI=false"])?;
    agent.wait_until_ready()?;
    rules::forbid(SECRET, 0)?;
    let neighbours = Bundle::make(runtime, "neighbour", &["loop-open", NOTE, FOR_EVER])?;
    let mut inside = niced(&neighbours.run("neighbour"))?;
    let mut outside = niced(&outside())?;
    let counted = with_changing_rules(|| count(opens, runtime));
    for neighbour in [&mut inside, &mut outside] {
        ensure!(neighbour.try_wait()?.is_none(), "a neighbour ended before the loop did");
        neighbour.kill()?;
        neighbour.wait()?;
    }
    let (count, revisions) = counted?;
    println!(
        "{} of {} opens of a forbidden file succeeded, {} were refused, under {revisions} revisions of the policy",
        count.opened, opens, count.refused
    );
    Ok(count == Count { opened: 0, refused: opens } && revisions > 0)
}

/// Opens in chunks, so that a long run tells how far it is.
fn count(opens: u64, runtime: &Path) -> Result<Count> {
    let mut sum = Count::default();
    let since = Instant::now();
    while sum.opened + sum.refused < opens {
        let chunk = CHUNK.min(opens - sum.opened - sum.refused);
        let bundle = Bundle::make(runtime, "loop", &["loop-open", SECRET, &chunk.to_string()])?;
        let output = bundle.run("loop").output().context("cannot start the runtime")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let count = read(&said).with_context(|| {
            format!("{}: {said}{}", output.status, String::from_utf8_lossy(&output.stderr))
        })?;
        ensure!(count.opened + count.refused == chunk, "of {chunk} opens {count:?} were counted");
        sum.opened += count.opened;
        sum.refused += count.refused;
        println!(
            "{} opens: {} succeeded; {:.0} s",
            sum.opened + sum.refused,
            sum.opened,
            since.elapsed().as_secs_f64()
        );
    }
    Ok(sum)
}

/// Reads `opened=N refused=N`.
fn read(said: &str) -> Result<Count> {
    let number = |name: &str| {
        let word = said.split_whitespace().find_map(|word| word.strip_prefix(name));
        word.and_then(|number| number.parse().ok()).with_context(|| format!("no {name}"))
    };
    Ok(Count { opened: number("opened=")?, refused: number("refused=")? })
}

/// Puts one revision of the policy after the other in force meanwhile; returns how many there were.
fn with_changing_rules<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<(T, u64)> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let changing = scope.spawn(|| {
            let mut revision = 0;
            while !over.load(Ordering::Relaxed) {
                revision += 1;
                rules::forbid(SECRET, revision)?;
            }
            anyhow::Ok(revision)
        });
        let worked = work();
        over.store(true, Ordering::Relaxed);
        let revisions = changing.join();
        let revisions = revisions.unwrap_or_else(|_| bail!("the policy's thread broke down"));
        Ok((worked?, revisions?))
    })
}

/// A program of the host that opens what is forbidden in the container under the same name.
fn outside() -> Command {
    let mut command = Command::new("probe");
    command.args(["loop-open", "/etc/hostname", FOR_EVER]).stdin(Stdio::null());
    command
}

fn niced(command: &Command) -> Result<Child> {
    let mut nice = Command::new("nice");
    nice.args(["-n", NICE]).arg(command.get_program()).args(command.get_args());
    nice.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("cannot start nice")
}

/// How the kernel preempts, as it says itself; the one in force is in brackets. Fails if it was told another one.
fn preemption() -> Result<String> {
    // It may be mounted already; what follows tells.
    drop(Command::new("mount").args(["-t", "debugfs", "none", "/sys/kernel/debug"]).status());
    let told = fs::read_to_string("/proc/cmdline")?;
    let told = told.split_whitespace().find_map(|word| word.strip_prefix("preempt="));
    let found = fs::read_to_string(PREEMPTION).map(|text| text.trim().to_owned());
    match (found, told) {
        (Ok(found), Some(told)) if !found.contains(&format!("({told})")) => {
            bail!("the kernel was told preempt={told} and has {found}")
        }
        (Err(error), Some(told)) => {
            Err(error).with_context(|| format!("whether preempt={told} holds: {PREEMPTION}"))
        }
        (Ok(found), _) => Ok(found),
        (Err(_), None) => Ok("not to be chosen on this kernel".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probes_count_is_read() {
        assert_eq!(
            read("opened=2 refused=98\nEACCES\n").unwrap(),
            Count { opened: 2, refused: 98 }
        );
        assert!(read("EACCES").is_err());
    }
}
