//! What a process and its BPF maps take.

use std::{collections::BTreeMap, fmt, fs};

use anyhow::{Context as _, Result};

/// In bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Of the process: its own, its program, and what it has touched of the maps.
    pub(crate) resident: u64,
    /// What it shares with the kernel among that: counted with the maps.
    shared: u64,
    /// Of the maps that it has open, as the kernel charges for them.
    maps: u64,
    /// Its programs in the kernel.
    programs: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let status = format!("/proc/{pid}/status");
        let text = fs::read_to_string(&status).context(status)?;
        let field = |name: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
        };
        let own = field("RssAnon:").context("RssAnon")? + field("RssFile:").context("RssFile")?;
        let shared = field("RssShmem:").context("RssShmem")?;
        let (maps, programs) = in_kernel(pid)?;
        Ok(Self { resident: own + shared, shared: shared_with_maps(pid)?, maps, programs })
    }

    /// All of it, counted once.
    pub(crate) fn all(&self) -> u64 {
        self.resident - self.shared + self.maps + self.programs
    }

    #[expect(clippy::cast_precision_loss, reason = "to be read by people")]
    pub(crate) fn mib(bytes: u64) -> f64 {
        bytes as f64 / f64::from(1 << 20)
    }
}

/// Resident pages of mappings of BPF maps.
fn shared_with_maps(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps");
    let text = fs::read_to_string(&path).context(path)?;
    let mut of_map = false;
    let mut kib = 0;
    for line in text.lines() {
        let first = line.split_whitespace().next().unwrap_or_default();
        if first.contains('-') && !first.ends_with(':') {
            of_map = line.contains("bpf-map");
        } else if let Some(rest) = line.strip_prefix("Rss:").filter(|_| of_map) {
            kib += rest.trim_end_matches("kB").trim().parse::<u64>().context("Rss")?;
        }
    }
    Ok(kib * 1024)
}

/// What maps and programs take, each once, however often it is open.
fn in_kernel(pid: u32) -> Result<(u64, u64)> {
    let mut maps = BTreeMap::new();
    let mut programs = BTreeMap::new();
    let folder = format!("/proc/{pid}/fdinfo");
    for entry in fs::read_dir(&folder).context(folder)? {
        // Some of its descriptors are closed while we look.
        let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
        let field = |name: &str| -> Option<u64> {
            text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
        };
        let Some(bytes) = field("memlock:") else { continue };
        if let Some(id) = field("map_id:") {
            maps.insert(id, bytes);
        } else if let Some(id) = field("prog_id:") {
            programs.insert(id, bytes);
        }
    }
    Ok((maps.values().sum(), programs.values().sum()))
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, bytes) in [
            ("resident", self.resident),
            ("of that, maps", self.shared),
            ("maps", self.maps),
            ("programs", self.programs),
            ("all", self.all()),
        ] {
            writeln!(f, "  {what:<15} {:>9.1} MiB", Self::mib(bytes))?;
        }
        Ok(())
    }
}
