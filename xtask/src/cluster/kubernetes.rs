//! Kubernetes, built once into the cache by the Go toolchain, at the version that `test/cluster/kubernetes/go.mod` names
//! and with the checksums beside it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    checkout::Checkout,
    program::{self, command, step},
};

/// The module, as `go.mod` names it.
const MODULE: &str = "k8s.io/kubernetes";
/// What a cluster consists of, and what its users type.
const PROGRAMS: [&str; 6] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
];
/// Set, this has tests build what is not built: it takes longer than all else that they do.
const BUILD_VARIABLE: &str = "KUBEARMOR_BUILD_KUBERNETES";

/// The programs of one version.
#[derive(Debug, Clone)]
pub(crate) struct Kubernetes {
    directory: PathBuf,
}

/// Whether the programs can be had without a long build.
#[derive(Debug)]
pub(crate) enum Availability {
    /// Built, or to be built now as the caller asked for it.
    There,
    /// Not, for this reason.
    Missing(&'static str),
}

impl Kubernetes {
    /// The programs in the cache, built when they are not there.
    pub(crate) fn get(checkout: &Checkout) -> Result<Self> {
        let kubernetes = Self::place(checkout)?;
        if kubernetes.directory.exists() {
            return Ok(kubernetes);
        }
        if let Some(reason) = toolchain_missing() {
            bail!(
                "{reason}\nhint: install Go, of the version that go.mod in test/cluster/kubernetes names or a later one"
            );
        }
        let _lock = checkout.lock_cache()?;
        if !kubernetes.directory.exists() {
            step("building Kubernetes, once; this takes a quarter of an hour and more", || {
                kubernetes.build(checkout)
            })?;
        }
        Ok(kubernetes)
    }

    /// What a test run does where the programs are not in the cache.
    pub(crate) fn availability(checkout: &Checkout) -> Result<Availability> {
        if Self::place(checkout)?.directory.exists() {
            return Ok(Availability::There);
        }
        if let Some(reason) = toolchain_missing() {
            return Ok(Availability::Missing(reason));
        }
        if std::env::var_os(BUILD_VARIABLE).is_none() {
            return Ok(Availability::Missing("Kubernetes is not built; cargo xtask cluster build"));
        }
        if program::run(go(checkout).args(["mod", "download", MODULE])).is_err() {
            return Ok(Availability::Missing("no Go module proxy"));
        }
        Ok(Availability::There)
    }

    /// The path of one of the programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn place(checkout: &Checkout) -> Result<Self> {
        let directory = checkout.cache("kubernetes")?.join(version(checkout)?);
        Ok(Self { directory })
    }

    /// Builds under another name and renames: what exists is complete.
    fn build(&self, checkout: &Checkout) -> Result<()> {
        let parent = self.directory.parent().context("programs without a directory")?;
        let work = tempfile::Builder::new().prefix(".build-").tempdir_in(parent)?;
        let version = version(checkout)?;
        let mut numbers = version.trim_start_matches('v').split('.');
        let (major, minor) =
            (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        let place = "k8s.io/component-base/version";
        let flags = format!(
            "-s -w -X {place}.gitVersion={version} -X {place}.gitMajor={major} -X {place}.gitMinor={minor}"
        );
        let mut go = go(checkout);
        go.args(["build", "-trimpath", "-ldflags", &flags, "-o"]).arg(work.path());
        go.args(PROGRAMS.map(|program| format!("{MODULE}/cmd/{program}")));
        program::run(&mut go)?;
        fs::rename(work.keep(), &self.directory)?;
        Ok(())
    }
}

/// Go, in the module that names the version, with nothing of the user's own settings that would change what is built.
fn go(checkout: &Checkout) -> Command {
    let mut go = command("go");
    go.current_dir(module(checkout))
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .env("GOFLAGS", "-mod=readonly")
        // A node's programs must run in any root file system.
        .env("CGO_ENABLED", "0");
    go
}

fn toolchain_missing() -> Option<&'static str> {
    program::run(command("go").arg("version")).is_err().then_some("no Go toolchain")
}

fn module(checkout: &Checkout) -> PathBuf {
    checkout.root().join("test/cluster/kubernetes")
}

fn version(checkout: &Checkout) -> Result<String> {
    let path = module(checkout).join("go.mod");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    version_in(&text).with_context(|| format!("{} does not require {MODULE}", display(&path)))
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

fn version_in(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word == "require");
        (words.next()? == MODULE).then(|| words.next().map(str::to_owned))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_is_required() {
        let alone = "module m\nrequire k8s.io/kubernetes v1.36.1\n";
        let block =
            "tool k8s.io/kubernetes/cmd/kubelet\nrequire (\n\tk8s.io/kubernetes v1.35.4\n)\n";
        assert_eq!(version_in(alone).as_deref(), Some("v1.36.1"));
        assert_eq!(version_in(block).as_deref(), Some("v1.35.4"));
        assert_eq!(version_in("module m\n"), None);
    }
}
