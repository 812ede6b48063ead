//! One line per case, and the sum.

use std::{process::ExitCode, time::Duration};

use crate::format::Case;

/// How a case ended.
#[derive(Debug)]
pub(crate) enum Verdict {
    Passed,
    /// The first unmet expectation and what was seen instead.
    Failed(String),
    Skipped(String),
}

#[derive(Default)]
pub(crate) struct Report {
    passed: usize,
    failed: Vec<String>,
    skipped: usize,
}

impl Report {
    pub(crate) fn add(&mut self, case: &Case, verdict: &Verdict, took: Duration) {
        let name = &case.name;
        match verdict {
            Verdict::Passed => {
                self.passed += 1;
                println!("ok    {name} ({:.1} s)", took.as_secs_f32());
            }
            Verdict::Failed(why) => {
                self.failed.push(name.clone());
                println!("FAIL  {name}: {}", why.trim_end().replace('\n', "\n      "));
            }
            Verdict::Skipped(reason) => {
                self.skipped += 1;
                println!("skip  {name} ({reason})");
            }
        }
    }

    pub(crate) fn close(&self) -> ExitCode {
        let Self { passed, failed, skipped } = self;
        println!("{passed} passed, {} failed, {skipped} skipped", failed.len());
        if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
