//! `kubearmor detach`: ends enforcement on purpose. The agent's own end never does.

use std::{
    fmt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};
use sensor::Detached;

use crate::{
    config::Sources,
    instance::{Instance, InstanceError},
};

/// What an agent has to end.
const END: Duration = Duration::from_secs(15);
/// What the kernel has to let go of programs.
const LET_GO: Duration = Duration::from_secs(30);

/// Ends the agent, if one runs, and takes everything away that it or earlier ones have left in force.
pub(crate) fn run(sources: &Sources) -> anyhow::Result<()> {
    let config = sources.load().or_else(|problem| {
        // Whoever needs this may be in no position to mend a file first.
        eprintln!("warning: {problem}; the defaults count instead of that file");
        Sources { file: None, ..sources.clone() }.load()
    });
    let config = config.context("the configuration cannot be read")?;
    // An agent that ends takes its pins away itself, and the kernel detaches its programs a moment later.
    let programs = sensor::pinned_programs(&config.bpf_fs_path);
    // Held until all is done, so that no agent begins anew meanwhile.
    let (ended, claim) = end_agent(&config.run_dir)?;
    let detached = sensor::detach_all(&config.bpf_fs_path, &programs, LET_GO)
        .context("rules may still be in force")?;
    claim.leave();
    println!("{}", Said { ended, detached });
    ensure!(
        detached.held == 0,
        "{} programs are still in the kernel: another process holds them, perhaps an agent with another runDir",
        detached.held
    );
    Ok(())
}

/// Has the running agent detach its programs and end. Returns its number, and the claim that it had.
fn end_agent(run_dir: &Path) -> anyhow::Result<(Option<u32>, Instance)> {
    let mut asked = None;
    let since = Instant::now();
    loop {
        let pid = match Instance::claim(run_dir) {
            Ok(claim) => return Ok((asked, claim)),
            Err(InstanceError::Second { pid, .. }) => pid.parse().ok(),
            Err(problem) => return Err(problem.into()),
        };
        if let Some(pid) = pid.filter(|pid| asked != Some(*pid))
            && let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw)
        {
            kill_process(process, Signal::USR2)
                .with_context(|| format!("the agent, process {pid}, cannot be told to end"))?;
            asked = Some(pid);
        }
        ensure!(
            since.elapsed() < END,
            "the agent did not end within {} s, and its rules are in force; end it first (`systemctl stop kubearmor`), \
             then detach again",
            END.as_secs()
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// What was done, for the one who asked for it.
struct Said {
    ended: Option<u32>,
    detached: Detached,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(pid) = self.ended {
            writeln!(f, "the agent, process {pid}, has detached its programs and ended")?;
        }
        let Detached { pins, programs, held } = self.detached;
        match (pins, programs) {
            (0, 0) => writeln!(f, "nothing was pinned")?,
            _ => writeln!(f, "{pins} pins removed, {programs} programs detached")?,
        }
        if held == 0 {
            write!(f, "nothing is enforced any more on this machine, until an agent starts")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_agent_nobody_is_ended() {
        let directory = tempfile::tempdir().unwrap();
        let (ended, _claim) = end_agent(directory.path()).unwrap();
        assert_eq!(ended, None);
        // No agent can start until the claim is given back.
        assert!(matches!(Instance::claim(directory.path()), Err(InstanceError::Second { .. })));
    }

    #[test]
    fn it_says_what_was_done() {
        let nothing = Said { ended: None, detached: Detached::default() };
        assert_eq!(
            nothing.to_string(),
            "nothing was pinned\nnothing is enforced any more on this machine, until an agent starts"
        );
        let detached = Detached { pins: 70, programs: 63, held: 2 };
        let said = Said { ended: Some(7), detached }.to_string();
        assert_eq!(
            said,
            "the agent, process 7, has detached its programs and ended\n70 pins removed, 63 programs detached\n"
        );
    }
}
