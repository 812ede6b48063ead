//! `cargo xtask demo`: a stock kernel refuses in a real container what policies forbid. What is shown is the crate
//! `demo`'s business; here the machine is set up for it.

use std::{
    env, fs,
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    binaries,
    checkout::Checkout,
    program::step,
    vm::{Host, Kernel, Machine, Series},
};

const EXAMPLES: &str = "policies/examples";
const PROGRAM: &str = "/usr/local/bin/demo";
const SERIES: Series = Series::V6_12;
/// Ten times what it takes on an idle machine.
const DEADLINE: Duration = Duration::from_mins(8);

/// Arguments of `cargo xtask demo`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The kernel's series
    #[arg(long, default_value_t = SERIES, value_enum)]
    kernel: Series,
}

/// `cargo xtask demo`: exit status 0 if everything was as expected.
pub(crate) fn perform(checkout: &Checkout, arguments: &Arguments) -> Result<ExitCode> {
    let since = Instant::now();
    let program = step("building the static programs", || binaries::program(checkout, "demo"))?;
    let kernel = Kernel::get(checkout, arguments.kernel)?;
    let mut machine = Machine::new(checkout, kernel, Host::get(checkout)?)?;
    machine.containerd = true;
    machine.deadline = DEADLINE;
    machine.files.push((program, Path::new(PROGRAM).to_owned()));
    machine.files.push((checkout.root().join(EXAMPLES), Path::new("/").join(EXAMPLES)));

    let mut argv = vec![PROGRAM.to_owned()];
    if io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none() {
        argv.push("--color".to_owned());
    }
    let out = checkout.target().join("demo");
    eprintln!("booting Linux {} in an emulated machine ...", machine.kernel.release);
    let outcome = machine.run(&argv, &out, &mut show)?;
    fs::write(out.join("console.log"), &outcome.console)?;
    eprintln!("{:.0} s in all; logs are in {}", since.elapsed().as_secs_f32(), out.display());
    Ok(ExitCode::from(u8::try_from(outcome.status).unwrap_or(u8::MAX)))
}

/// Prints a line of the console; when nobody reads any more, the machine still runs to its end.
fn show(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
