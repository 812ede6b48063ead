//! The runner: executes cases inside a virtual machine, as root, with containerd running.

mod agent;
mod case_run;
mod container;
mod engines;
mod events;
mod name_server;
mod options;
mod program;
mod report;
mod rootfs;
mod spec;
mod watchdog;

use std::{process::ExitCode, time::Instant};

use anyhow::{Context, Result};

pub use options::Options;

use crate::{format::Case, pending::Pending, requirement::Version};
use agent::Agent;
use case_run::CaseRun;
use engines::Engines;
use report::{Report, Verdict};
use rootfs::Images;
use watchdog::Watchdog;

/// Runs every chosen case of the folder. Success only if nothing failed.
pub fn run(options: &Options) -> Result<ExitCode> {
    let cases = Case::read_folder(&options.folder)?;
    let pending = match &options.pending {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            Pending::parse(&text).map_err(anyhow::Error::msg)?
        }
        None => Pending::default(),
    };
    let kernel = Version::running().context("the kernel's release has no version")?;
    let mut runner = Runner {
        options,
        agent: Agent::new(options.enforcer, &options.bpf_fs),
        images: Images::default(),
        engines: Engines::default(),
        lives: 0,
    };
    let mut report = Report::default();
    let watchdog = Watchdog::start();
    for (number, case) in cases.iter().filter(|case| options.chooses(&case.name)).enumerate() {
        if number % options.shards != options.shard {
            continue;
        }
        let since = Instant::now();
        let verdict = if let Some(reason) = skip(case, options, &pending, kernel) {
            Verdict::Skipped(reason)
        } else {
            watchdog.begin(&case.name);
            runner.run(case)
        };
        watchdog.end();
        report.add(case, &verdict, since.elapsed());
    }
    runner.agent.end();
    Ok(report.close())
}

/// What outlives a case.
struct Runner<'a> {
    options: &'a Options,
    agent: Agent,
    images: Images,
    engines: Engines,
    /// How many containers there have been: each gets an id of its own.
    lives: u32,
}

impl Runner<'_> {
    /// Runs one case from a clean state to a clean state.
    fn run(&mut self, case: &Case) -> Verdict {
        let Self { options, agent, images, engines, lives } = self;
        let ready = engines.make_ready(case, images, &agent.hooks());
        let verdict = match ready.and_then(|()| CaseRun::prepare(case, agent, images, lives)) {
            Ok(mut run) => {
                let verdict = run.perform();
                if let Verdict::Failed(_) = verdict {
                    run.leave_evidence(&options.out);
                }
                run.clean_up();
                verdict
            }
            Err(error) => Verdict::Failed(format!("cannot prepare: {error:#}")),
        };
        if let Verdict::Failed(_) = verdict {
            agent.leave_evidence(&options.out.join(&case.name));
            agent.distrust();
        }
        verdict
    }
}

fn skip(case: &Case, options: &Options, pending: &Pending, kernel: Version) -> Option<String> {
    if let Some(reason) = pending.reason(&case.name) {
        return Some(format!("pending: {reason}"));
    }
    match options.enforcer.enforcer() {
        Some(enforcer) if !case.enforcers.contains(&enforcer) => {
            return Some("not for this enforcer".to_owned());
        }
        None if case.needs_agent() => return Some("needs an agent".to_owned()),
        _ => {}
    }
    case.requires.iter().find_map(|requirement| requirement.unmet(kernel))
}
