//! Loads every object into the running kernel and says what came of it. Run it in a virtual machine only:
//! `cargo xtask verifier`.

use std::process::ExitCode;

use sensor::{Loaded, Options, Sensor};

fn main() -> ExitCode {
    let sensor = match Sensor::load(&Options { bpffs: None }) {
        Ok(sensor) => sensor,
        Err(error) => {
            println!("FAIL  {error:?}");
            println!("0 passed, 1 failed, 0 skipped");
            return ExitCode::FAILURE;
        }
    };
    let Loaded { hooks, missing } = sensor.loaded();
    for hook in hooks {
        println!("ok    {hook}");
    }
    for (object, reason) in missing {
        println!("FAIL  {object}: {reason}");
    }
    println!("{} passed, {} failed, 0 skipped", hooks.len(), missing.len());
    if missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
