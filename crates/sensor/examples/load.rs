//! Loads every object into the running kernel and says what came of it. Run it in the virtual machine only.

use std::process::ExitCode;

fn main() -> ExitCode {
    match sensor::Sensor::load(&sensor::Options { bpffs: None }) {
        Ok(sensor) => {
            for hook in &sensor.loaded().hooks {
                println!("attached {hook}");
            }
            for (object, reason) in &sensor.loaded().missing {
                println!("refused {object}: {reason}");
            }
            if sensor.loaded().missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            println!("error: {error:?}");
            ExitCode::FAILURE
        }
    }
}
