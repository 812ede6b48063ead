//! Containers of which nobody asks the agent: it hears of them from containerd's events alone. How long a container's
//! first program goes on before its rules hold is measured by that program itself. Those that were there before should have
//! their rules from the beginning.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use guest::{agent::Agent, image_name};

use crate::rules;

/// In every image, and read by no runtime.
const FORBIDDEN: &str = "/etc/shadow";
const PROBE: &str = "/usr/local/bin/probe";
/// After these seconds a program gives up: its rules never came.
const LIMIT: &str = "20";

/// The beginning of one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Beginning {
    /// Opens that succeeded before one was refused.
    opened: u64,
    /// From the program's first instruction until it was refused.
    microseconds: u64,
    refused: bool,
}

pub(crate) fn perform(starts: usize) -> Result<bool> {
    let mut agent = Agent::start(&["--enableNRI=false"])?;
    agent.wait_until_ready()?;
    rules::forbid(FORBIDDEN, 0)?;
    let new: Vec<_> = measure(starts, |number| format!("new-{number}"))?;
    let again: Vec<_> = measure(starts + 1, |_| "again".to_owned())?;
    let unknown = tell("containers of new names", &new);
    let known = tell("containers of a name that was there before", &again[1..]);
    Ok(unknown.never == 0 && known.through == 0 && known.never == 0)
}

fn measure(starts: usize, id: impl Fn(usize) -> String) -> Result<Vec<Beginning>> {
    (0..starts).map(|number| run(&id(number))).collect()
}

fn run(id: &str) -> Result<Beginning> {
    let (label, value) = rules::LABEL;
    let mut ctr = Command::new("ctr");
    ctr.args(["run", "--rm", "--label", &format!("{label}={value}"), &image_name("alpine"), id]);
    ctr.args([PROBE, "open-until-refused", FORBIDDEN, LIMIT]);
    let output = ctr.stdin(Stdio::null()).output().context("cannot start ctr")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let beginning = read(&said, output.status.code() != Some(0));
    beginning.with_context(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("container {id} ended with {}: {said}{errors}", output.status)
    })
}

/// Reads `opened=N microseconds=N`.
fn read(said: &str, refused: bool) -> Result<Beginning> {
    let number = |name: &str| {
        let word = said.split_whitespace().find_map(|word| word.strip_prefix(name));
        word.and_then(|number| number.parse().ok()).with_context(|| format!("no {name}"))
    };
    Ok(Beginning { opened: number("opened=")?, microseconds: number("microseconds=")?, refused })
}

#[derive(Debug, PartialEq, Eq)]
struct Sum {
    /// Containers whose first open succeeded.
    through: usize,
    /// Containers that were never refused.
    never: usize,
    middle: u64,
    longest: u64,
}

fn sum(beginnings: &[Beginning]) -> Sum {
    let mut times: Vec<u64> = beginnings
        .iter()
        .filter(|beginning| beginning.opened > 0 && beginning.refused)
        .map(|beginning| beginning.microseconds)
        .collect();
    times.sort_unstable();
    Sum {
        through: beginnings.iter().filter(|beginning| beginning.opened > 0).count(),
        never: beginnings.iter().filter(|beginning| !beginning.refused).count(),
        middle: times.get(times.len() / 2).copied().unwrap_or(0),
        longest: times.last().copied().unwrap_or(0),
    }
}

fn tell(whose: &str, beginnings: &[Beginning]) -> Sum {
    let sum = sum(beginnings);
    println!(
        "{whose}: {} of {} had their first forbidden open succeed; they were refused after {:.1} ms (middle), {:.1} ms \
         (longest); {} were never refused",
        sum.through,
        beginnings.len(),
        milliseconds(sum.middle),
        milliseconds(sum.longest),
        sum.never
    );
    sum
}

fn milliseconds(microseconds: u64) -> f64 {
    u32::try_from(microseconds).map_or(f64::INFINITY, f64::from) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_counts_where_something_got_through() {
        let none = read("opened=0 microseconds=90\nEACCES\n", true).unwrap();
        let some = read("opened=7 microseconds=1500\nEACCES\n", true).unwrap();
        let endless = read("opened=9 microseconds=20000000\n", false).unwrap();
        assert_eq!(
            sum(&[none, some, endless]),
            Sum { through: 2, never: 1, middle: 1500, longest: 1500 }
        );
        assert!(read("EACCES", true).is_err());
    }
}
