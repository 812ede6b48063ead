//! The static programs: how they are built, and where the finished ones are.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};

use crate::{
    checkout::Checkout,
    program::{self, step},
};

/// What the static programs are built for.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-musl";
/// What the guest of a virtual machine finds in /usr/local/bin.
const INSTALLED: [&str; 3] = ["kubearmor", "karmor", "probe"];
/// Always built together: cargo would build what they share anew for every other selection of them.
const PACKAGES: [&str; 13] = [
    "kubearmor",
    "karmor",
    "probe",
    "guest",
    "cases",
    "demo",
    "bench",
    "law",
    "scale",
    "soak",
    "sensor",
    "node",
    "pause",
];

/// Arguments of `cargo xtask build`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Optimise, as virtual machines and releases use them
    #[arg(long)]
    release: bool,
}

/// `cargo xtask build`.
pub(crate) fn perform(checkout: &Checkout, arguments: &Arguments) -> Result<ExitCode> {
    let profile = if arguments.release { "release" } else { "dev" };
    step("building the static programs", || build(checkout, profile))?;
    let directory = directory(checkout, if arguments.release { "release" } else { "debug" });
    for package in INSTALLED {
        println!("{}", directory.join(package).display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The static programs that have been built for release, by name.
pub(crate) fn built(checkout: &Checkout) -> Vec<(&'static str, PathBuf)> {
    INSTALLED
        .into_iter()
        .map(|name| (name, directory(checkout, "release").join(name)))
        .filter(|(_, path)| path.exists())
        .collect()
}

/// A static program, built for release when sources changed.
pub(crate) fn program(checkout: &Checkout, name: &str) -> Result<PathBuf> {
    build(checkout, "release")?;
    Ok(directory(checkout, "release").join(name))
}

/// The program that loads every kernel program and says what came of it.
pub(crate) fn load(checkout: &Checkout) -> Result<PathBuf> {
    program(checkout, "examples/load")
}

fn directory(checkout: &Checkout, profile: &str) -> PathBuf {
    checkout.target().join(TARGET).join(profile)
}

fn build(checkout: &Checkout, profile: &str) -> Result<()> {
    let mut cargo = cargo(checkout, profile);
    for package in PACKAGES {
        cargo.args(["--package", package]);
    }
    cargo.args(["--bins", "--example", "load"]);
    finish(&mut cargo, "the static programs")
}

/// Cargo, about to build for the static target.
fn cargo(checkout: &Checkout, profile: &str) -> Command {
    let mut cargo = program::cargo(checkout);
    cargo.args(["build", "--quiet", "--target", TARGET]);
    cargo.args(["--profile", profile]).envs(environment(checkout));
    cargo
}

fn finish(cargo: &mut Command, what: &str) -> Result<()> {
    let status = cargo.status().context("cannot start cargo")?;
    if !status.success() {
        bail!(
            "cargo could not build {what} for {TARGET}\nhint: `make setup` installs what it needs"
        );
    }
    Ok(())
}

/// What the C libraries under libbpf-rs need to be told to build against musl: elfutils' configure
/// looks for functions of glibc that libelf never calls, and the kernel's headers lie outside
/// musl's own.
fn environment(checkout: &Checkout) -> Vec<(&'static str, OsString)> {
    let kernel_headers = "-idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include";
    let mut flags = OsString::from("-I");
    flags.push(checkout.root().join("build/musl-stubs"));
    flags.push(" ");
    flags.push(kernel_headers);
    vec![
        ("ac_cv_search_argp_parse", "none required".into()),
        ("ac_cv_search__obstack_free", "none required".into()),
        ("ac_cv_search_gzdirect", "none required".into()),
        ("ac_cv_search_fts_close", "none required".into()),
        // For the musl target alone: build scripts are compiled for the machine itself.
        ("CFLAGS_x86_64_unknown_linux_musl", flags),
        ("LIBBPF_SYS_EXTRA_CFLAGS", kernel_headers.into()),
    ]
}
