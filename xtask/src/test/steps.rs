//! The steps of a test run, cheap ones first.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    thread,
};

use super::tally::Voice;
use crate::{
    checkout::Checkout,
    cluster::{Availability, Kubernetes},
};

/// Behaviour cases that run on every kernel: each hook and each section of a policy once.
const ON_EVERY_KERNEL: [&str; 15] = [
    "alert-fields-of-a-",
    "cap-block",
    "dns-",
    "file-block-every-way-to-open",
    "file-dir-recursive-block",
    "file-path-block",
    "file-readonly-block",
    "link-usr-merged-root",
    "net-tcp-block",
    "posture-file-block",
    "preset-",
    "process-from-source-block",
    "process-path-block",
    "runtime-agent-restart",
    "syscall-",
];

/// Attacks of each class that is closed; the others wait for what `docs/threat-model.md` calls open.
const ATTACKS: [&str; 17] = [
    "agent-state-and-pins",
    "allow-list-not-entered",
    "allowed-arguments",
    "bind-mount-of",
    "blocked-program-under",
    "busybox-applet",
    "chroot-into",
    "container-inside",
    "copied-program",
    "descriptor-",
    "exchange-of-a-parent",
    "exec-",
    "files-of-another",
    "hardlink-",
    "kill-the-agent",
    "rename-of-",
    "tmpfs-over",
];

/// The beginnings of containers: nothing of them runs before its rules hold.
const BEGINNINGS: [&str; 3] = ["blocked-entry-point", "container-restarted", "first-process-is"];

/// Identity, places and sessions, which control groups tell.
const ON_CONTROL_GROUPS_V1: [&str; 3] =
    ["first-program-behind-a-link", "hook-is-the-only-source", "preset-exec-sessions"];

/// One step: a program that runs to its end.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) work: Work,
    pub(super) voice: Voice,
}

/// What a step runs.
#[derive(Debug)]
pub(super) enum Work {
    /// `cargo` with these arguments.
    Cargo(Vec<OsString>),
    /// `cargo deny` with these.
    Deny(Vec<OsString>),
    /// `cargo deny check advisories`, where their database can be had.
    Advisories,
    /// `helm lint` and `helm template` of the chart, where Helm can be had.
    Chart,
    /// Nothing; the step is skipped for this reason.
    Nothing(&'static str),
}

/// All steps.
pub(super) fn all(checkout: &Checkout) -> Vec<Step> {
    let cases = |folder: &str| shared(checkout).map(|shared| shared.join("cases").join(folder));
    let functional = cases("functional");
    vec![
        step("format", "rustfmt has nothing to change", cargo("fmt --all --check"), Voice::Status),
        step(
            "lints",
            "clippy has nothing to say",
            cargo("clippy --workspace --all-targets -- -D warnings"),
            Voice::Status,
        ),
        step(
            "generated",
            "definitions and reference say what the description says",
            cargo("xtask codegen --check"),
            Voice::Status,
        ),
        step("chart", "Helm takes the chart and renders its values", Work::Chart, Voice::Status),
        step(
            "unit",
            "unit, property, golden and layout tests",
            cargo("test --workspace --no-fail-fast -- --show-output"),
            Voice::Libtest,
        ),
        step(
            "bindings",
            "clients whose bindings others generate understand the services",
            cargo("run --quiet --package bindings"),
            Voice::Sums,
        ),
        step(
            "fuzz-targets",
            "the fuzz targets compile, with the versions that are locked",
            cargo("check --locked --manifest-path fuzz/Cargo.toml --target-dir target/fuzz"),
            Voice::Status,
        ),
        step(
            "dependencies",
            "their licences, duplicates and sources",
            Work::Deny(words("check --hide-inclusion-graph bans licenses sources")),
            Voice::Deny,
        ),
        step("advisories", "known faults of dependencies", Work::Advisories, Voice::Deny),
        step(
            "verifier",
            "every kernel accepts every kernel program",
            cargo("xtask verifier --kernel all"),
            Voice::Sums,
        ),
        step(
            "kernel-law",
            "every kernel decides generated accesses by the law",
            cargo("xtask prove --comparisons 0 --kernel-comparisons 1000 --kernel all"),
            Voice::Status,
        ),
        step(
            "test-bed",
            "behaviour of the test bed itself",
            cargo("xtask e2e --cases test/cases/smoke --enforcer none"),
            Voice::Sums,
        ),
        step(
            "own-cases",
            "behaviour cases of the project, Linux 6.12",
            on_kernel(checkout, Some(&checkout.root().join("test/cases/own")), "6.12", &[]),
            Voice::Sums,
        ),
        step(
            "runtimes",
            "containers of Docker, Podman and crun, Linux 6.12",
            on_kernel(checkout, Some(&checkout.root().join("test/cases/runtimes")), "6.12", &[]),
            Voice::Sums,
        ),
        step(
            "control-groups-v1",
            "some cases of the project where control groups are those of version 1, Linux 6.12",
            on_control_groups_v1(checkout),
            Voice::Sums,
        ),
        step(
            "cases",
            "behaviour cases, Linux 6.12",
            on_kernel(checkout, functional.as_deref(), "6.12", &[]),
            Voice::Sums,
        ),
        step(
            "redteam",
            "attacks on the rules and on the agent, Linux 6.12",
            on_kernel(checkout, cases("redteam").as_deref(), "6.12", &ATTACKS),
            Voice::Sums,
        ),
        step(
            "lifecycle",
            "the first instruction of a container, Linux 6.12",
            on_kernel(checkout, cases("lifecycle").as_deref(), "6.12", &BEGINNINGS),
            Voice::Sums,
        ),
        step(
            "soak",
            "containers come and go: none gets what is forbidden, nothing leaks",
            // Addresses that stay the same are emulated faster; what is judged does not depend on them.
            cargo("xtask soak starts --starts 100 --cmdline norandmaps"),
            Voice::Status,
        ),
        step(
            "tight-loop",
            "a million opens of a forbidden file, under load and full preemption",
            cargo("xtask soak opens --cmdline preempt=full"),
            Voice::Status,
        ),
        step(
            "cases-6.1",
            "some behaviour cases, Linux 6.1",
            on_kernel(checkout, functional.as_deref(), "6.1", &ON_EVERY_KERNEL),
            Voice::Sums,
        ),
        step(
            "cases-7.2",
            "some behaviour cases, Linux 7.2",
            on_kernel(checkout, functional.as_deref(), "7.2", &ON_EVERY_KERNEL),
            Voice::Sums,
        ),
        step(
            "cluster",
            "a real cluster, as a user with kubectl sees it, Linux 6.12",
            in_cluster(checkout),
            Voice::Sums,
        ),
    ]
}

fn step(name: &'static str, about: &'static str, work: Work, voice: Voice) -> Step {
    Step { name, about, work, voice }
}

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

fn cargo(line: &str) -> Work {
    Work::Cargo(words(line))
}

/// `cargo xtask e2e` with cases whose names contain one of `filters`, or with all.
fn on_kernel(checkout: &Checkout, cases: Option<&Path>, kernel: &str, filters: &[&str]) -> Work {
    let Some(cases) = cases else {
        return Work::Nothing("no ../shared");
    };
    let mut arguments = words("xtask e2e --cases");
    arguments.push(cases.into());
    arguments.push("--pending".into());
    arguments.push(checkout.root().join("test/cases/pending.txt").into());
    arguments.extend(words(&format!("--kernel {kernel} --machines {}", machines())));
    arguments.extend(filters.iter().map(|filter| format!("--filter={filter}").into()));
    Work::Cargo(arguments)
}

fn on_control_groups_v1(checkout: &Checkout) -> Work {
    let own = checkout.root().join("test/cases/own");
    match on_kernel(checkout, Some(&own), "6.12", &ON_CONTROL_GROUPS_V1) {
        Work::Cargo(mut arguments) => {
            arguments.push(format!("--cmdline={}", guest::LEGACY_GROUPS).into());
            Work::Cargo(arguments)
        }
        other => other,
    }
}

/// Building Kubernetes takes longer than all other steps: a test run does not begin with it unasked.
fn in_cluster(checkout: &Checkout) -> Work {
    match Kubernetes::availability(checkout) {
        Ok(Availability::Missing(reason)) => Work::Nothing(reason),
        // An error comes up again in the step, which then fails.
        Ok(Availability::There) | Err(_) => cargo("xtask cluster test"),
    }
}

/// As many virtual machines as have a processor each, up to where the disk is what they wait for.
fn machines() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(3)
}

/// The folder with the behaviour cases, next to the checkout or where `KUBEARMOR_SHARED` says.
fn shared(checkout: &Checkout) -> Option<PathBuf> {
    let shared = env::var_os("KUBEARMOR_SHARED")
        .map_or_else(|| checkout.root().join("../shared"), PathBuf::from);
    shared.is_dir().then_some(shared)
}
