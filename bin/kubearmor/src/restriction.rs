//! What the agent gives up once its programs are loaded: capabilities, further privileges, system calls.
//!
//! Landlock has no part in it: whom it restricts, the kernel lets look at no process that it does not restrict likewise
//! (<https://docs.kernel.org/userspace-api/landlock.html>, ptrace restrictions), whatever capabilities there are; and the
//! agent reads the roots and programs of others in `/proc` for as long as it runs. Threads share their memory, so to
//! restrict some of them would keep nobody who has got hold of one.

mod calls;
mod capabilities;
#[cfg(test)]
mod tests;

use std::{fs, io};

use crate::config::{Config, SelfRestriction};

const OTHERS: &str = "threads that keep their capabilities";

/// Restricts this process for good, and says what came of it. To be called while it has one thread: threads that begin
/// later inherit what holds, others keep their capabilities.
pub(crate) fn apply(config: &Config) -> Vec<Outcome> {
    if config.self_restriction == SelfRestriction::Off {
        let off = "selfRestriction is off: the agent keeps all its capabilities and system calls";
        return vec![Outcome::Problem(off.to_owned())];
    }
    let no_more = rustix::thread::set_no_new_privs(true).map_err(|problem| problem.to_string());
    let mut outcomes = vec![
        told(no_more.map(|()| "no new privileges".to_owned()), "privileges"),
        told(capabilities::drop_all_but(capabilities::kept(config)), "capabilities"),
        told(calls::restrict(config.self_restriction == SelfRestriction::Log), "system calls"),
    ];
    match other_threads() {
        Ok(0) => {}
        Ok(more) => outcomes.push(Outcome::Problem(format!("{OTHERS}: {more}"))),
        Err(problem) => outcomes.push(Outcome::Problem(format!("/proc/self/task: {problem}"))),
    }
    outcomes
}

/// A line for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done(String),
    Problem(String),
}

fn told(result: Result<String, String>, what: &str) -> Outcome {
    match result {
        Ok(done) => Outcome::Done(done),
        Err(problem) => {
            Outcome::Problem(format!("the agent's {what} are not restricted: {problem}"))
        }
    }
}

fn other_threads() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count().saturating_sub(1))
}
