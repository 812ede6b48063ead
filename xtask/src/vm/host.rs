//! The virtual machine's root disk: `host` with the container images already imported, made once
//! and cached by its recipe.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use guest::{IMAGES, ROOTFS, image_name};
use sha2::{Digest, Sha256};

use super::{
    archive::Archive,
    disk,
    kernel::{Kernel, Series},
    machine::Machine,
    rootfs,
};
use crate::{
    checkout::Checkout,
    image::oci::{self, Image, Layer},
    program::step,
};

/// Sparse: room for what the cases write.
const DISK_BYTES: u64 = 4 << 30;
/// The kernel that imports the images.
const BUILDER: Series = Series::V6_12;

/// The root disk of virtual machines.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// An ext4 image.
    pub(crate) disk: PathBuf,
}

impl Host {
    /// The root disk, made when there is none of the present recipe.
    pub(crate) fn get(checkout: &Checkout) -> Result<Self> {
        let stamp = oci::hex(&Sha256::digest(rootfs::recipe())[..6]);
        let disk = checkout.cache("disks")?.join(format!("host-{stamp}.ext4"));
        if disk.exists() {
            return Ok(Self { disk });
        }
        let kernel = Kernel::get(checkout, BUILDER)?;
        let _lock = checkout.lock_cache()?;
        if !disk.exists() {
            step("making the root disk", || make(checkout, kernel, &disk))?;
        }
        Ok(Self { disk })
    }
}

/// Makes the disk under another name and renames it: what exists is complete.
fn make(checkout: &Checkout, kernel: Kernel, disk: &Path) -> Result<()> {
    let directory = disk.parent().context("a disk without a directory")?;
    let work = tempfile::Builder::new().prefix(".make-").tempdir_in(directory)?;
    let archive = Archive::open(checkout)?;
    let tree = |name: &str| work.path().join(name);

    step("root file system host", || rootfs::make_host(&archive, &tree("host")))?;
    step("root file system debian", || rootfs::make_debian(&archive, &tree("debian")))?;
    step("root file system split", || rootfs::make_split(&tree("debian"), &tree("split")))?;
    step("root file system alpine", || {
        rootfs::make_alpine(&archive, &tree("debian"), &tree("alpine"))
    })?;

    let images = tree("host").join(IMAGES.trim_start_matches('/'));
    fs::create_dir_all(&images)?;
    step("container images", || {
        for name in ROOTFS {
            let layer = work.path().join("layer.tar");
            rootfs::pack(&tree(name), &layer)?;
            let image = Image {
                name: image_name(name),
                layers: vec![Layer::plain(&layer)?],
                entrypoint: Vec::new(),
                command: vec!["sleep".to_owned(), "infinity".to_owned()],
                labels: Vec::new(),
                created: None,
            };
            image.write(&images.join(format!("{name}.tar")))?;
            fs::remove_file(&layer)?;
        }
        Ok(())
    })?;

    let unfinished = work.path().join("disk");
    step("root disk", || {
        disk::make_ext4(&tree("host"), &unfinished, disk::Size::Bytes(DISK_BYTES))
    })?;
    let host = Host { disk: unfinished.clone() };
    let machine = Machine::new(checkout, kernel, host)?;
    step("importing the container images", || {
        machine.import_images(&mut |line| eprintln!("  {line}"))
    })?;
    fs::rename(unfinished, disk)?;
    Ok(())
}
