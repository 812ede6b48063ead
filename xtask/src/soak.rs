//! `cargo xtask soak`: long runs in a virtual machine. What is done there is the crate `soak`'s business; here the
//! machine is set up for it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::{Subcommand, ValueEnum};

use crate::{
    binaries,
    checkout::Checkout,
    program::step,
    vm::{Archive, Host, Kernel, Machine, Series},
};

const PROGRAM: &str = "/usr/local/bin/soak";
/// Ten thousand containers on an emulated processor that is shared.
const DEADLINE: Duration = Duration::from_hours(12);

/// crun and what it needs beyond the root disk, of the disk's suite.
const CRUN_PACKAGES: [&str; 2] = ["crun/trixie", "libyajl2/trixie"];
/// In the packages and in the guest.
const CRUN_FILES: [&str; 2] = ["usr/bin/crun", "usr/lib/x86_64-linux-gnu/libyajl.so.2"];

/// Arguments of `cargo xtask soak`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    run: Run,
    /// The kernel's series
    #[arg(long, default_value = "6.12", global = true)]
    kernel: Series,
    /// For the command line of the kernel, such as `preempt=full`
    #[arg(long, default_value = "", global = true)]
    cmdline: String,
    /// What starts containers where no daemon does
    #[arg(long, default_value = "crun", global = true)]
    runtime: Runtime,
}

#[derive(Subcommand)]
enum Run {
    /// Containers start and stop, the runtime's hook asking the agent: none gets what is forbidden, nothing leaks
    Starts {
        #[arg(long, default_value_t = 200)]
        starts: u32,
        /// Containers that run side by side
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
        workers: u32,
        /// Start them by a runtime of our own, which does only what the agent sees
        #[arg(long)]
        own: bool,
    },
    /// What a start is made of, each part by itself
    Costs {
        #[arg(long, default_value_t = 50)]
        times: u32,
    },
    /// How long containers go without rules of which nobody asks the agent
    Gap {
        #[arg(long, default_value_t = 20)]
        starts: u32,
    },
    /// A tight loop on a forbidden file, under load and changing rules
    Opens {
        #[arg(long, default_value_t = 1_000_000)]
        opens: u64,
    },
}

/// Which container runtime is called without a daemon.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Runtime {
    /// Several times faster
    Crun,
    /// That of the root disk, which containerd uses as well
    Runc,
}

impl Runtime {
    fn name(self) -> &'static str {
        match self {
            Self::Crun => "crun",
            Self::Runc => "runc",
        }
    }
}

/// `cargo xtask soak`: exit status 0 if what is promised held.
pub(crate) fn perform(checkout: &Checkout, arguments: &Arguments) -> Result<ExitCode> {
    let program = step("building the static programs", || binaries::program(checkout, "soak"))?;
    let kernel = Kernel::get(checkout, arguments.kernel)?;
    let mut machine = Machine::new(checkout, kernel, Host::get(checkout)?)?;
    machine.deadline = DEADLINE;
    machine.cmdline.clone_from(&arguments.cmdline);
    machine.files.push((program, PROGRAM.into()));
    if arguments.runtime == Runtime::Crun {
        machine.files.extend(crun(checkout)?);
    }
    let runtime = format!("--runtime={}", arguments.runtime.name());
    let argv = match arguments.run {
        Run::Starts { starts, workers, own } => {
            let mut words = vec!["starts".to_owned(), runtime];
            words.extend([format!("--starts={starts}"), format!("--workers={workers}")]);
            words.extend(own.then(|| "--own".to_owned()));
            words
        }
        Run::Costs { times } => vec!["costs".to_owned(), format!("--times={times}"), runtime],
        Run::Gap { starts } => {
            machine.containerd = true;
            vec!["gap".to_owned(), format!("--starts={starts}")]
        }
        Run::Opens { opens } => {
            // The loop and its neighbours are to get in each other's way.
            machine.smp = 1;
            vec!["opens".to_owned(), format!("--opens={opens}"), runtime]
        }
    };
    let argv: Vec<_> = [PROGRAM.to_owned()].into_iter().chain(argv).collect();
    println!("Linux {}", machine.kernel.release);
    let out = checkout.target().join("soak");
    let outcome = machine.run(&argv, &out, &mut |line| println!("{line}"))?;
    fs::write(out.join("console.log"), &outcome.console)?;
    Ok(ExitCode::from(u8::try_from(outcome.status).unwrap_or(u8::MAX)))
}

/// crun of Debian's package, unpacked into the cache, and where the guest gets it.
fn crun(checkout: &Checkout) -> Result<Vec<(PathBuf, PathBuf)>> {
    let cached = checkout.cache("crun")?;
    let files = CRUN_FILES.map(|file| {
        let name = Path::new(file).file_name().unwrap_or_default();
        (cached.join(name), Path::new("/").join(file))
    });
    if files.iter().all(|(from, _)| from.exists()) {
        return Ok(files.to_vec());
    }
    let _lock = checkout.lock_cache()?;
    let package = tempfile::tempdir()?;
    step("fetching crun", || Archive::open(checkout)?.unpack(&CRUN_PACKAGES, package.path()))?;
    for (file, (to, _)) in CRUN_FILES.iter().zip(&files) {
        // Under another name first: what exists is complete.
        let unfinished = to.with_extension("new");
        fs::copy(package.path().join(file), &unfinished).context(*file)?;
        fs::rename(&unfinished, to)?;
    }
    Ok(files.to_vec())
}
