//! Finding a disk by its serial number: letters depend on the order of discovery.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

const PATIENCE: Duration = Duration::from_secs(20);

/// The device node of the virtio disk with this serial number; waits while drivers still probe.
pub(crate) fn find(serial: &str) -> Result<PathBuf> {
    let since = Instant::now();
    loop {
        for entry in fs::read_dir("/sys/block")? {
            let entry = entry?;
            let found = fs::read_to_string(entry.path().join("serial")).unwrap_or_default();
            if found.trim_end() == serial {
                return Ok(PathBuf::from("/dev").join(entry.file_name()));
            }
        }
        if since.elapsed() > PATIENCE {
            bail!("no disk with serial number {serial} within {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
