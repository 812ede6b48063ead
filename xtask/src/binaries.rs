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

const TARGET: &str = "x86_64-unknown-linux-musl";
/// What the guest of a virtual machine finds in /usr/local/bin.
const INSTALLED: [&str; 3] = ["kubearmor", "karmor", "probe"];

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
    let packages = [&INSTALLED[..], &["guest"]].concat();
    step("building the static programs", || build(checkout, &packages, profile))?;
    let directory = directory(checkout, if arguments.release { "release" } else { "debug" });
    for package in packages {
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

/// Everything that is installed in a virtual machine, and one program more, whose path is returned; built for release
/// when sources changed.
pub(crate) fn with(checkout: &Checkout, package: &str) -> Result<PathBuf> {
    build(checkout, &[&INSTALLED[..], &["guest", package]].concat(), "release")?;
    Ok(directory(checkout, "release").join(package))
}

/// The first process of the virtual machine, built when its sources changed.
pub(crate) fn guest(checkout: &Checkout) -> Result<PathBuf> {
    build(checkout, &["guest"], "release")?;
    Ok(directory(checkout, "release").join("guest"))
}

/// The program that counts in the virtual machine and the one that it starts, built when their sources changed.
pub(crate) fn bench(checkout: &Checkout) -> Result<[PathBuf; 2]> {
    build(checkout, &["bench"], "release")?;
    Ok(["bench", "bench-nothing"].map(|name| directory(checkout, "release").join(name)))
}

/// The program that runs behaviour cases, and the programs that cases need, built when their sources changed.
pub(crate) fn cases(checkout: &Checkout, with_agent: bool) -> Result<PathBuf> {
    let mut packages = vec!["probe", "cases"];
    if with_agent {
        packages.extend(["kubearmor", "karmor"]);
    }
    step("building the static programs", || build(checkout, &packages, "release"))?;
    Ok(directory(checkout, "release").join("cases"))
}

/// The program that loads every kernel program and says what came of it, built when its sources
/// changed.
pub(crate) fn load(checkout: &Checkout) -> Result<PathBuf> {
    let mut cargo = cargo(checkout, "release");
    cargo.args(["--package", "sensor", "--example", "load"]);
    finish(&mut cargo, "the loader")?;
    Ok(directory(checkout, "release").join("examples/load"))
}

fn directory(checkout: &Checkout, profile: &str) -> PathBuf {
    checkout.target().join(TARGET).join(profile)
}

fn build(checkout: &Checkout, packages: &[&str], profile: &str) -> Result<()> {
    let mut cargo = cargo(checkout, profile);
    for package in packages {
        cargo.args(["--package", package]);
    }
    finish(&mut cargo, &packages.join(", "))
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
    let mut stubs = OsString::from("-I");
    stubs.push(checkout.root().join("build/musl-stubs"));
    let kernel_headers = "-idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include";
    vec![
        ("ac_cv_search_argp_parse", "none required".into()),
        ("ac_cv_search__obstack_free", "none required".into()),
        ("ac_cv_search_gzdirect", "none required".into()),
        ("ac_cv_search_fts_close", "none required".into()),
        // For the musl target alone: build scripts are compiled for the machine itself.
        ("CFLAGS_x86_64_unknown_linux_musl", stubs),
        ("LIBBPF_SYS_EXTRA_CFLAGS", kernel_headers.into()),
    ]
}
