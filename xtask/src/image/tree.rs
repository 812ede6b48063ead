//! The tree that becomes a layer, and its archive, in which nothing tells when, where or by whom it was made.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::program::{self, command};

/// Puts a file of this machine into the tree.
pub(super) fn file(root: &Path, to: &Path, from: &Path, mode: u32) -> Result<()> {
    let to = place(root, to)?;
    fs::copy(from, &to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    Ok(fs::set_permissions(&to, Permissions::from_mode(mode))?)
}

/// Puts a text into the tree.
pub(super) fn text(root: &Path, to: &Path, text: &str) -> Result<()> {
    let to = place(root, to)?;
    fs::write(&to, text).with_context(|| to.display().to_string())?;
    Ok(fs::set_permissions(&to, Permissions::from_mode(0o644))?)
}

/// Puts an empty directory into the tree.
pub(super) fn directory(root: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(root.join(to)).with_context(|| to.display().to_string())
}

/// Packs the tree: everything is root's, of the first second of 1970, in the order of names.
pub(crate) fn pack(root: &Path, to: &Path) -> Result<()> {
    let mut tar = command("tar");
    tar.args(["--format=ustar", "--sort=name", "--mtime=@0", "--numeric-owner"]);
    // Directories are made with whatever mode the caller's mask leaves; the files have theirs.
    tar.args(["--owner=0", "--group=0", "--mode=u+rwX,go+rX,go-w"]);
    program::run(tar.arg("-C").arg(root).arg("-cf").arg(to).arg("."))
}

fn place(root: &Path, to: &Path) -> Result<PathBuf> {
    let to = root.join(to);
    let directory = to.parent().context("a file without a directory")?;
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    Ok(to)
}
