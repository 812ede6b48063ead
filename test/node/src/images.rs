//! The container images that pods are made from: there is no registry.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

/// The root file systems of behaviour cases that pods use as well, each as the image `testbed/NAME:1`: a tag that is not
/// `latest` is not pulled where it is there.
const ROOTFS: [&str; 2] = ["alpine", "split"];

/// The product's image, which manifests name without a version.
const PRODUCT: &str = "docker.io/kubearmor/kubearmor";

/// Imports the images that the node was started with, and those of behaviour cases; after a reboot they are there.
pub(crate) fn import() -> Result<()> {
    let directory = Path::new(node::DIRECTORY).join(node::IMAGES);
    let stamp = Path::new("/var/lib/testbed/imported");
    if stamp.exists() {
        return Ok(());
    }
    let mut archives: Vec<PathBuf> = fs::read_dir(&directory)
        .with_context(|| directory.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    // A bill of materials lies beside its image.
    archives.retain(|path| path.extension().is_some_and(|extension| extension == "tar"));
    archives.sort();
    for archive in archives {
        ctr("k8s.io", &["import", &archive.to_string_lossy()])?;
    }
    for rootfs in ROOTFS {
        take_over(rootfs)?;
    }
    let product = format!("{PRODUCT}:{}", env!("CARGO_PKG_VERSION"));
    ctr("k8s.io", &["tag", &product, &format!("{PRODUCT}:stable")])?;
    fs::create_dir_all("/var/lib/testbed")?;
    fs::write(stamp, "").context("remember that the images are imported")
}

/// Images belong to one namespace of containerd; that of kubelets is not the one of behaviour cases.
fn take_over(rootfs: &str) -> Result<()> {
    let archive = format!("/var/tmp/{rootfs}.tar");
    let name = guest::image_name(rootfs);
    ctr("default", &["export", &archive, &name])?;
    ctr("k8s.io", &["import", &archive])?;
    ctr("k8s.io", &["tag", &name, &format!("docker.io/testbed/{rootfs}:1")])?;
    fs::remove_file(&archive).context(archive)
}

fn ctr(namespace: &str, arguments: &[&str]) -> Result<()> {
    let mut ctr = Command::new("ctr");
    ctr.args(["--namespace", namespace, "images"]).args(arguments);
    let output = ctr.output().context("ctr")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{ctr:?}: {said}");
    Ok(())
}
