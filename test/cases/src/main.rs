//! `cases FOLDER`: runs behaviour cases in the virtual machine that it finds itself in.

use std::process::ExitCode;

use cases::runner::{self, Options};
use clap::Parser;

fn main() -> ExitCode {
    match runner::run(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
