//! Making disk images.

use std::{fs::File, os::unix::fs::MetadataExt, path::Path};

use anyhow::{Context, Result};

use crate::program::{self, command};

/// How large a file system is made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Size {
    /// As its content needs, for one that is only read.
    Fitting,
    /// In bytes; the image is sparse.
    Bytes(u64),
}

/// Makes `image` an ext4 file system with the content of `directory`. No journal: a disk is thrown
/// away after a crash.
pub(crate) fn make_ext4(directory: &Path, image: &Path, size: Size) -> Result<()> {
    let size = match size {
        Size::Bytes(bytes) => bytes,
        // A fifth for the file system's own tables.
        Size::Fitting => content_size(directory)? * 6 / 5 + (16 << 20),
    };
    make_blank(image, size)?;
    program::run(
        command("mke2fs")
            .args(["-q", "-F", "-t", "ext4", "-m", "0", "-O", "^has_journal", "-d"])
            .arg(directory)
            .arg(image),
    )
}

/// Makes a sparse file of zeros.
pub(crate) fn make_blank(path: &Path, bytes: u64) -> Result<()> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    file.set_len(bytes).with_context(|| path.display().to_string())
}

fn content_size(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            4096 + content_size(&entry.path())?
        } else {
            metadata.size().next_multiple_of(4096)
        };
    }
    Ok(bytes)
}
