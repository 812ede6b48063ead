//! Running the machine's programs: a missing one is answered with the package that has it, a
//! failed one with what it said.

use std::{
    env,
    ffi::OsStr,
    io::ErrorKind,
    process::{Command, Output, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, anyhow, bail};

use crate::checkout::Checkout;

/// A command for one of the machine's programs. Directories of administration are searched too:
/// an ordinary user's path often lacks them.
pub(crate) fn command(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

/// A command whose program the kernel kills when the thread that has started it ends, however that ends.
pub(crate) fn bound(program: impl AsRef<OsStr>) -> Command {
    let mut bound = command("setpriv");
    bound.args(["--pdeathsig", "KILL", "--"]).arg(program);
    bound
}

/// Cargo itself, the one that runs us, in the checkout.
pub(crate) fn cargo(checkout: &Checkout) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(checkout.root());
    cargo
}

/// Runs to the end in silence; output appears in the error only.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    finish(command).map(drop)
}

/// Runs to the end and returns what it wrote to standard output.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = finish(command)?;
    String::from_utf8(output.stdout).with_context(|| format!("output of {}", describe(command)))
}

fn finish(command: &mut Command) -> Result<Output> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| not_started(command, error))?;
    if !output.status.success() {
        bail!(
            "{} failed ({}):\n{}",
            describe(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(output)
}

/// The error for a program that could not be started, with the way to get it.
pub(crate) fn not_started(command: &Command, error: std::io::Error) -> anyhow::Error {
    let name = command.get_program().display().to_string();
    if error.kind() != ErrorKind::NotFound {
        return anyhow!(error).context(format!("cannot start {name}"));
    }
    match package_of(&name) {
        Some(package) => anyhow!("{name} is missing\nhint: sudo apt install {package}"),
        None => anyhow!("{name} is missing"),
    }
}

fn package_of(program: &str) -> Option<&'static str> {
    Some(match program {
        "qemu-system-x86_64" => "qemu-system-x86",
        "mmdebstrap" => "mmdebstrap",
        "mke2fs" => "e2fsprogs",
        "depmod" | "modprobe" => "kmod",
        "setpriv" => "util-linux",
        "go" => "golang",
        "xz" => "xz-utils",
        "zstd" => "zstd",
        "tar" => "tar",
        "apt-get" | "apt-cache" | "apt-config" => "apt",
        "dpkg-deb" => "dpkg",
        "clang" => "clang",
        "musl-gcc" => "musl-tools",
        _ => return None,
    })
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Says what is being done, does it, and says how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("{what} ...");
    let since = Instant::now();
    let result = work().with_context(|| format!("could not finish: {what}"))?;
    eprintln!("{what}: {:.1} s", since.elapsed().as_secs_f32());
    Ok(result)
}
