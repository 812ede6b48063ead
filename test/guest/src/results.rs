//! The results disk: a tar archive of what the work left, then the report that vouches for it.

use std::{
    fs::OpenOptions,
    io::{Seek, SeekFrom, Write},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use guest::{OUT, REPORT_BLOCK, Report, disk};

use crate::{disks, process};

/// Writes the archive first: a report on the disk means that everything before it arrived.
pub(crate) fn write(report: &Report) -> Result<()> {
    let device = disks::find(disk::RESULTS)?;
    let mut disk = OpenOptions::new()
        .write(true)
        .open(&device)
        .with_context(|| device.display().to_string())?;
    if Path::new(OUT).is_dir() {
        disk.seek(SeekFrom::Start(REPORT_BLOCK as u64))?;
        process::check(
            Command::new("tar")
                .args(["-C", OUT, "--warning=no-file-changed", "-cf", "-", "."])
                .stdout(Stdio::from(disk.try_clone()?)),
        )
        .context("archive /out")?;
        disk.sync_all()?;
    }
    let mut block = serde_json::to_vec(report)?;
    if block.len() > REPORT_BLOCK {
        bail!("the report has {} bytes, more than {REPORT_BLOCK}", block.len());
    }
    block.resize(REPORT_BLOCK, b'\n');
    disk.rewind()?;
    disk.write_all(&block)?;
    disk.sync_all()?;
    Ok(())
}
