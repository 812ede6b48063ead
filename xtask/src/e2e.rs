//! `cargo xtask e2e`: behaviour cases in virtual machines, with the agent and a container runtime.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::{
    binaries,
    checkout::Checkout,
    program::step,
    vm::{Choice, Host, Kernel, Machine, Series},
};

/// Where the guest finds the cases and the program that runs them.
const GUEST: &str = "/cases";
/// The whole of a folder, on an emulated processor that is shared.
const DEADLINE: Duration = Duration::from_hours(1);

/// Arguments of `cargo xtask e2e`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Folder of the cases, taken with the folders below it
    #[arg(long, value_name = "DIRECTORY")]
    cases: PathBuf,
    /// A series of kernels, or `all`
    #[arg(long, default_value = "6.12")]
    kernel: Choice,
    /// What enforces; `none` runs the cases that need no agent
    #[arg(long, default_value = "bpf")]
    enforcer: Enforcer,
    /// Only cases whose name contains one of these
    #[arg(long, value_name = "SUBSTRING")]
    filter: Vec<String>,
    /// Cases to skip: lines `case-name: reason`
    #[arg(long, value_name = "FILE")]
    pending: Option<PathBuf>,
    /// Virtual machines that share the cases of a kernel; each takes a processor and 3 GiB
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    machines: u16,
    /// For the command line of the kernels, such as `preempt=full`
    #[arg(long, default_value = "")]
    cmdline: String,
    /// Where failed cases leave what was seen [default: target/e2e]
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Enforcer {
    Bpf,
    #[value(name = "apparmor")]
    AppArmor,
    #[value(name = "selinux")]
    SeLinux,
    None,
}

impl Enforcer {
    fn name(self) -> &'static str {
        match self {
            Self::Bpf => "bpf",
            Self::AppArmor => "apparmor",
            Self::SeLinux => "selinux",
            Self::None => "none",
        }
    }
}

/// What the lines of a run add up to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sum {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Sum {
    /// Counts a line of the guest. False for the guest's own sum, which is only a part of ours.
    fn count(&mut self, line: &str) -> bool {
        // Details of a failure are indented.
        match line.split(' ').next() {
            Some("ok") => self.passed += 1,
            Some("FAIL") => self.failed += 1,
            Some("skip") => self.skipped += 1,
            Some(number) if number.parse::<usize>().is_ok() => {
                return !line.contains(" passed, ");
            }
            _ => {}
        }
        true
    }
}

/// `cargo xtask e2e`.
pub(crate) fn perform(checkout: &Checkout, arguments: &Arguments) -> Result<ExitCode> {
    if !arguments.cases.is_dir() {
        bail!("{} is not a folder", arguments.cases.display());
    }
    let runner = step("building the static programs", || binaries::program(checkout, "cases"))?;
    let host = Host::get(checkout)?;
    let mut good = true;
    for series in arguments.kernel.series() {
        good &= run_on(checkout, arguments, &runner, &host, series)
            .with_context(|| format!("cases on Linux {series}"))?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_on(
    checkout: &Checkout,
    arguments: &Arguments,
    runner: &Path,
    host: &Host,
    series: Series,
) -> Result<bool> {
    let kernel = Kernel::get(checkout, series)?;
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => checkout.target().join("e2e"),
    }
    .join(series.to_string());
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    println!("Linux {}", kernel.release);
    let since = Instant::now();
    let sum = Mutex::new(Sum::default());
    let statuses: Vec<Result<i32>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..arguments.machines)
            .map(|shard| {
                let (sum, out, kernel) = (&sum, out.join(shard.to_string()), kernel.clone());
                scope.spawn(move || {
                    let machine = machine(checkout, arguments, runner, host, kernel)?;
                    fs::create_dir_all(&out)?;
                    let outcome = machine.run(&command(arguments, shard), &out, &mut |line| {
                        let mut sum = sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        if sum.count(line) {
                            println!("{line}");
                        }
                    })?;
                    fs::write(out.join("console.log"), &outcome.console)?;
                    Ok(outcome.status)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("a machine's thread ended")))
            .collect()
    });
    let Sum { passed, failed, skipped } =
        sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    eprintln!("Linux {}: {:.0} s", kernel.release, since.elapsed().as_secs_f32());
    if failed > 0 {
        eprintln!("what was seen: {}", out.display());
    }
    let mut good = failed == 0;
    for status in statuses {
        match status? {
            0 => {}
            1 => good = false,
            other => bail!("the runner ended with status {other}"),
        }
    }
    Ok(good)
}

fn machine(
    checkout: &Checkout,
    arguments: &Arguments,
    runner: &Path,
    host: &Host,
    kernel: Kernel,
) -> Result<Machine> {
    let mut machine = Machine::new(checkout, kernel, host.clone())?;
    machine.containerd = true;
    machine.deadline = DEADLINE;
    machine.smp = 2;
    machine.cmdline.clone_from(&arguments.cmdline);
    machine.files.push((runner.to_owned(), Path::new(GUEST).join("runner")));
    machine.files.push((arguments.cases.canonicalize()?, Path::new(GUEST).join("folder")));
    if let Some(pending) = &arguments.pending {
        machine.files.push((pending.canonicalize()?, Path::new(GUEST).join("pending")));
    }
    Ok(machine)
}

fn command(arguments: &Arguments, shard: u16) -> Vec<String> {
    let mut argv = vec![format!("{GUEST}/runner"), format!("{GUEST}/folder")];
    argv.push(format!("--enforcer={}", arguments.enforcer.name()));
    argv.extend(arguments.filter.iter().map(|filter| format!("--filter={filter}")));
    argv.push(format!("--shards={}", arguments.machines));
    argv.push(format!("--shard={shard}"));
    if arguments.pending.is_some() {
        argv.push(format!("--pending={GUEST}/pending"));
    }
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_what_several_machines_say() {
        let mut sum = Sum::default();
        assert!(sum.count("ok    cap-block (3.1 s)"));
        assert!(sum.count("FAIL  cap-audit: step 1"));
        assert!(sum.count("      ok is a word of the details"));
        assert!(sum.count("skip  native (not for this enforcer)"));
        assert!(!sum.count("1 passed, 1 failed, 1 skipped"));
        assert_eq!(sum, Sum { passed: 1, failed: 1, skipped: 1 });
    }
}
