//! Counts what the product costs, inside a virtual machine whose clock counts instructions:
//! `cargo xtask bench` starts it there.
//!
//! `bench` directs: it measures one arm after another and leaves a report. For each arm it starts
//! itself as `bench measure`, moves that process to where the arm wants it, and lets it begin.
#![forbid(unsafe_code)]

mod apparmor;
mod arms;
mod container;
mod measure;
mod measurer;
mod rules;
mod shares;
mod tree;

use std::{env, fs, process::ExitCode};

use anyhow::{Context, Result, bail};
use guest::bench::REPORT;

use crate::tree::Tree;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] => direct(),
        ["measure", tree] => measurer::perform(&Tree::at(tree), measurer::Wish::Costs),
        ["shares", tree] => measurer::perform(&Tree::at(tree), measurer::Wish::Shares),
        _ => usage(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn direct() -> Result<()> {
    let report = arms::measure_all()?;
    fs::write(REPORT, serde_json::to_vec(&report)?).context(REPORT)
}

fn usage() -> Result<()> {
    bail!("usage: bench [measure TREE | shares TREE]")
}
