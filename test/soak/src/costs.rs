//! Where the time of a container's start goes: each part by itself, often enough to tell.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use guest::agent::Agent;
use serde_json::json;

use crate::{
    bundle::{Bundle, SECRET},
    rules,
};

/// Ticks of the kernel's accounts in a second.
const TICKS: f64 = 100.0;

pub(crate) fn perform(times: u32, runtime: &Path) -> Result<bool> {
    let mut agent = Agent::start(&["--enableNRI=false"])?;
    agent.wait_until_ready()?;
    let own = Bundle::make(runtime, "own", &["open", SECRET])?;
    let bare = Bundle::without_hooks(runtime, "bare", &["open", SECRET])?;
    let resident = Bundle::make(runtime, "resident", &["pause"])?;
    resident.begin("resident")?;
    rules::forbid(SECRET, 0)?;
    let part = |what: &str, work: &mut dyn FnMut(&str) -> Result<()>| {
        let (since, before) = (Instant::now(), processor(agent.pid())?);
        for number in 0..times {
            work(&format!("cost-{number}"))?;
        }
        let each = 1000.0 / f64::from(times);
        let (took, now) = (since.elapsed().as_secs_f64(), processor(agent.pid())?);
        println!(
            "{what}: {:.1} ms; of the agent {:.1} ms, and {:.1} ms in the kernel for it",
            took * each,
            (now.own - before.own) * each,
            (now.kernel - before.kernel) * each
        );
        anyhow::Ok(())
    };
    part("a small program", &mut |_| run(Command::new("probe").args(["open", "/etc/hostname"])))?;
    part("the agent's version", &mut |_| run(Command::new("kubearmor").arg("--version")))?;
    part("the hook, for an end", &mut hook)?;
    part("what it says", &mut |id| own.tell_end(id))?;
    part("own runtime, no hook", &mut |id| bare.start_by_own(id).map(drop))?;
    part("own runtime", &mut |id| own.start_by_own(id).map(drop))?;
    part("the runtime, no hook", &mut |id| bare.start(id).map(drop))?;
    part("the runtime", &mut |id| own.start(id).map(drop))?;
    resident.end("resident")?;
    Ok(true)
}

/// Calls the agent's hook as a runtime does when a container has ended.
fn hook(id: &str) -> Result<()> {
    let state = json!({"id": id, "pid": 0, "status": "stopped", "bundle": "/"}).to_string();
    let mut hook = Command::new("kubearmor");
    let mut hook =
        hook.arg("hook").stdin(Stdio::piped()).spawn().context("cannot start the hook")?;
    hook.stdin.take().context("its input")?.write_all(state.as_bytes())?;
    let status = hook.wait()?;
    ensure!(status.success(), "the hook ended with {status}");
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdout(Stdio::null()).status().context("cannot start a program")?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// Seconds of a processor.
struct Processor {
    own: f64,
    kernel: f64,
}

/// What a process has had.
fn processor(pid: u32) -> Result<Processor> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| path.clone())?;
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| -> Result<f64> {
        fields.get(at).and_then(|field| field.parse().ok()).with_context(|| path.clone())
    };
    // The 14th and 15th of all, the first two being before the parenthesis.
    Ok(Processor { own: ticks(11)? / TICKS, kernel: ticks(12)? / TICKS })
}
