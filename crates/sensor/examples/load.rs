//! Loads every object into the running kernel and says what came of it. Run it in a virtual machine only:
//! `cargo xtask verifier`.

use std::process::ExitCode;

use sensor::{Demand, Loaded, Options, Sensor};
use wire::Visibility;

fn main() -> ExitCode {
    let mut sensor = match Sensor::load(&Options { bpffs: None, pin: false }) {
        Ok(sensor) => sensor,
        Err(error) => {
            println!("FAIL  {error:?}");
            println!("0 passed, 1 failed, 0 skipped");
            return ExitCode::FAILURE;
        }
    };
    let unobserved = sensor.observe(Visibility::all());
    let Loaded { mut hooks, mut missing } = sensor.loaded().clone();
    hooks.extend(sensor.observing().map(ToOwned::to_owned));
    missing.extend(unobserved.into_iter().map(|(object, reason)| (object.to_owned(), reason)));
    for demand in Demand::ALL {
        if sensor.missing(demand).is_some() {
            continue;
        }
        match sensor.attach(demand) {
            Ok(()) => hooks.push(format!("{demand:?}")),
            Err(error) => missing.push((format!("{demand:?}"), error.to_string())),
        }
    }
    for hook in &hooks {
        println!("ok    {hook}");
    }
    for (object, reason) in &missing {
        println!("FAIL  {object}: {reason}");
    }
    println!("{} passed, {} failed, 0 skipped", hooks.len(), missing.len());
    if missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
