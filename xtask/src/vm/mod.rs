//! The test bed: virtual machines with Debian's stock kernels, a root file system with containerd,
//! and container images, all made from Debian packages. The machine's own kernel is never touched.

mod archive;
mod console;
pub(crate) mod disk;
mod host;
mod kernel;
mod machine;
mod newc;
mod rootfs;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::{Args, Subcommand};

pub(crate) use self::{
    archive::Archive,
    host::Host,
    kernel::{Kernel, Series},
    machine::Machine,
};
use crate::checkout::Checkout;

/// `cargo xtask vm ...`
#[derive(Subcommand)]
pub(crate) enum Task {
    /// Download and verify kernels, the newest of their series
    Fetch {
        /// A series, or `all`
        #[arg(long, default_value = "all")]
        kernel: Choice,
    },
    /// Run a command in a virtual machine and return its exit status
    Run(Run),
    /// A shell in a virtual machine, with containerd and the agent running
    Shell {
        #[command(flatten)]
        shape: Shape,
    },
}

/// One series of kernels or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Every series the project supports.
    All,
    /// This one.
    One(Series),
}

impl Choice {
    /// The chosen series.
    pub(crate) fn series(self) -> Vec<Series> {
        match self {
            Self::All => clap::ValueEnum::value_variants().to_vec(),
            Self::One(series) => vec![series],
        }
    }
}

impl std::str::FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            _ => clap::ValueEnum::from_str(text, false).map(Self::One),
        }
    }
}

/// What a machine looks like.
#[derive(Args)]
pub(crate) struct Shape {
    /// The kernel's series
    #[arg(long, default_value = "6.12")]
    kernel: Series,
    /// Virtual processors; they take turns on one of this machine's
    #[arg(long, default_value_t = 2)]
    smp: u32,
    /// MiB of memory
    #[arg(long, default_value_t = 3072)]
    memory: u32,
    /// More for the kernel's command line
    #[arg(long, default_value = "")]
    cmdline: String,
    /// A file or directory for the guest
    #[arg(long = "file", value_name = "HOSTPATH[:GUESTPATH]", value_parser = file)]
    files: Vec<(PathBuf, PathBuf)>,
}

/// `cargo xtask vm run`
#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    shape: Shape,
    /// Let the clock count instructions (one processor, slow, repeatable)
    #[arg(long)]
    icount: bool,
    /// Start containerd first
    #[arg(long)]
    with_containerd: bool,
    /// Seconds until the machine is ended
    #[arg(long, default_value_t = 300)]
    deadline: u64,
    /// Where the guest's /out goes, and the console as console.log
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    argv: Vec<String>,
}

/// Performs a task of the test bed.
pub(crate) fn perform(checkout: &Checkout, task: Task) -> Result<ExitCode> {
    match task {
        Task::Fetch { kernel } => fetch(checkout, kernel),
        Task::Run(run) => perform_run(checkout, run),
        Task::Shell { shape } => {
            machine(checkout, shape)?.shell()?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn fetch(checkout: &Checkout, choice: Choice) -> Result<ExitCode> {
    for series in choice.series() {
        let kernel = Kernel::fetch(checkout, series)?;
        println!("{series}: {}", kernel.release);
    }
    Ok(ExitCode::SUCCESS)
}

fn perform_run(checkout: &Checkout, run: Run) -> Result<ExitCode> {
    let mut machine = machine(checkout, run.shape)?;
    machine.icount = run.icount;
    machine.containerd = run.with_containerd;
    machine.deadline = Duration::from_secs(run.deadline);
    let unwanted = tempfile::tempdir()?;
    let out = run.out.as_deref().unwrap_or(unwanted.path());
    let since = Instant::now();
    let outcome = machine.run(&run.argv, out, &mut print_line)?;
    fs::write(out.join("console.log"), &outcome.console)?;
    eprintln!(
        "Linux {}: exit status {} after {:.1} s",
        machine.kernel.release,
        outcome.status,
        since.elapsed().as_secs_f32()
    );
    Ok(ExitCode::from(u8::try_from(outcome.status).unwrap_or(u8::MAX)))
}

/// Prints a console line; when nobody reads any more, the machine still runs to its end.
fn print_line(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn machine(checkout: &Checkout, shape: Shape) -> Result<Machine> {
    let kernel = Kernel::get(checkout, shape.kernel)?;
    let mut machine = Machine::new(checkout, kernel, Host::get(checkout)?)?;
    machine.smp = shape.smp;
    machine.memory = shape.memory;
    machine.cmdline = shape.cmdline;
    machine.files.extend(shape.files);
    Ok(machine)
}

/// Reads `HOSTPATH[:GUESTPATH]`; without the second the file keeps its name, in /root.
fn file(text: &str) -> Result<(PathBuf, PathBuf), String> {
    let (from, to) = if let Some((from, to)) = text.split_once(':') {
        (Path::new(from), PathBuf::from(to))
    } else {
        let name = Path::new(text).file_name().ok_or("a path without a file name")?;
        (Path::new(text), Path::new("/root").join(name))
    };
    if !from.exists() {
        return Err(format!("{} does not exist", from.display()));
    }
    if !to.is_absolute() {
        return Err(format!("{} is not an absolute path of the guest", to.display()));
    }
    Ok((from.to_owned(), to))
}
