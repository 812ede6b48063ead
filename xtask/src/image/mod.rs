//! Container images without a registry or a daemon: that of the product, with a bill of its materials, and how any image
//! is packed. The same sources give the same bytes.

pub(crate) mod oci;
mod sbom;
mod tree;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};

use self::oci::{Image, Layer};
pub(crate) use self::tree::pack;
use crate::{
    binaries,
    checkout::Checkout,
    program::{self, command, step},
};

/// What manifests call the image, without its version.
pub(crate) const REPOSITORY: &str = "docker.io/kubearmor/kubearmor";
/// Where the program lies in it.
const PROGRAM: &str = "kubearmor";
/// Where the bill of materials lies in it.
const SBOM: &str = "usr/share/sbom/kubearmor.cdx.json";

/// Arguments of `cargo xtask image`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where the archive and the bill of materials go [default: target/image]
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
}

/// `cargo xtask image`.
pub(crate) fn perform(checkout: &Checkout, arguments: &Arguments) -> Result<ExitCode> {
    let out = arguments.out.clone().unwrap_or_else(|| checkout.target().join("image"));
    let program = step("building the static programs", || binaries::program(checkout, PROGRAM))?;
    let made = step("packing the image", || product(checkout, &program, &out))?;
    println!("{}", made.archive.display());
    println!("{}", made.sbom.display());
    println!("{} {}", made.name, made.digest);
    Ok(ExitCode::SUCCESS)
}

/// The product's image.
#[derive(Debug)]
pub(crate) struct Product {
    /// As a container runtime knows it once it has imported the archive.
    pub(crate) name: String,
    /// Of its manifest.
    pub(crate) digest: String,
    /// An OCI image layout which is an archive of Docker's as well.
    pub(crate) archive: PathBuf,
    /// The bill of materials, `CycloneDX`.
    pub(crate) sbom: PathBuf,
}

/// Packs the static program as the product's image into the directory `out`.
pub(crate) fn product(checkout: &Checkout, program: &Path, out: &Path) -> Result<Product> {
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let bill = sbom::bill(checkout)?;
    let sbom = out.join("kubearmor.cdx.json");
    fs::write(&sbom, serde_json::to_vec_pretty(&bill)?)?;

    let work = tempfile::tempdir_in(out)?;
    let root = work.path().join("root");
    tree::file(&root, Path::new(PROGRAM), program, 0o755)?;
    tree::file(&root, Path::new(SBOM), &sbom, 0o644)?;
    for file in ["LICENSE", "NOTICE"] {
        let to = Path::new("usr/share/doc/kubearmor").join(file);
        tree::file(&root, &to, &checkout.root().join(file), 0o644)?;
    }
    // A policy of hosts that names no user still finds one.
    tree::text(&root, Path::new("etc/passwd"), "root:x:0:0:root:/:/\n")?;
    tree::text(&root, Path::new("etc/group"), "root:x:0:\n")?;
    for directory in ["tmp", "run", "proc", "sys", "dev"] {
        tree::directory(&root, Path::new(directory))?;
    }
    let layer = work.path().join("layer.tar");
    pack(&root, &layer)?;

    let version = env!("CARGO_PKG_VERSION");
    let name = format!("{REPOSITORY}:{version}");
    let revision = git(checkout, &["rev-parse", "HEAD"]);
    let image = Image {
        name: name.clone(),
        layers: vec![Layer::compressed(&layer, &work.path().join("layer.tar.gz"))?],
        entrypoint: vec![format!("/{PROGRAM}")],
        command: vec!["agent".to_owned()],
        labels: labels(version, revision.as_deref()),
        created: git(
            checkout,
            &["log", "-1", "--format=%cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"],
        ),
    };
    let archive = out.join("kubearmor.tar");
    let digest = image.write(&archive)?;
    Ok(Product { name, digest, archive, sbom })
}

/// Those that the image specification defines.
fn labels(version: &str, revision: Option<&str>) -> Vec<(String, String)> {
    let mut labels = vec![
        ("title", "kubearmor"),
        ("description", "Runtime security enforcement for containers and hosts by BPF-LSM"),
        ("licenses", "Apache-2.0"),
        ("version", version),
    ];
    labels.extend(revision.map(|revision| ("revision", revision)));
    let named = |(name, value): (&str, &str)| {
        (format!("org.opencontainers.image.{name}"), value.to_owned())
    };
    labels.into_iter().map(named).collect()
}

/// What Git says of the checkout, where it is one of Git's.
fn git(checkout: &Checkout, arguments: &[&str]) -> Option<String> {
    let mut git = command("git");
    git.current_dir(checkout.root()).args(arguments).env("TZ", "UTC");
    program::read(&mut git).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn the_same_program_gives_the_same_bytes() {
        let checkout = Checkout::find().unwrap();
        let work = tempfile::tempdir().unwrap();
        let program = work.path().join("kubearmor");
        fs::write(&program, "a program").unwrap();
        let first = product(&checkout, &program, &work.path().join("first")).unwrap();
        // Another time and other modes of what goes in.
        fs::remove_file(&program).unwrap();
        fs::write(&program, "a program").unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o700)).unwrap();
        let second = product(&checkout, &program, &work.path().join("second")).unwrap();
        assert_eq!(first.digest, second.digest);
        assert!(fs::read(&first.archive).unwrap() == fs::read(&second.archive).unwrap());
        assert!(fs::read(&first.sbom).unwrap() == fs::read(&second.sbom).unwrap());
    }
}
