//! What the agent holds at one moment: memory, descriptors, threads, the kernel memory of its maps, and what it counts
//! itself.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

pub(crate) const MEMORY: &str = "agent: anonymous memory, KiB";
pub(crate) const DESCRIPTORS: &str = "agent: descriptors";
pub(crate) const THREADS: &str = "agent: threads";
pub(crate) const MAPS: &str = "kernel: memory of the maps, KiB";
pub(crate) const SLAB: &str = "kernel: memory that cannot be reclaimed, KiB";
pub(crate) const DYING: &str = "kernel: control groups that are going";

/// Numbers by what they count.
pub(crate) type Usage = BTreeMap<String, u64>;

/// Looks at the agent that is this process.
pub(crate) fn look(agent: u32) -> Result<Usage> {
    let mut usage = counted_by_the_agent()?;
    let status = read(&format!("/proc/{agent}/status"))?;
    usage.insert(MEMORY.to_owned(), field(&status, "RssAnon:")?);
    usage.insert(THREADS.to_owned(), field(&status, "Threads:")?);
    let (descriptors, maps) = descriptors(agent)?;
    usage.insert(DESCRIPTORS.to_owned(), descriptors);
    usage.insert(MAPS.to_owned(), maps);
    usage.insert(SLAB.to_owned(), field(&read("/proc/meminfo")?, "SUnreclaim:")?);
    let groups = read("/sys/fs/cgroup/cgroup.stat")?;
    usage.insert(DYING.to_owned(), field(&groups, "nr_dying_descendants")?);
    Ok(usage)
}

fn counted_by_the_agent() -> Result<Usage> {
    let mut karmor = Command::new("karmor");
    let answer = karmor.args(["probe", "--format", "json"]).stderr(Stdio::inherit()).output();
    let answer: Value = serde_json::from_slice(&answer.context("cannot start karmor")?.stdout)
        .context("the answer of `karmor probe`")?;
    let counts = answer["Probe Data"]["Usage"].as_object().context("no `Usage` in it")?;
    ensure!(!counts.is_empty(), "the agent counts nothing");
    let counts = counts.iter().map(|(what, count)| {
        let count = count.as_u64().with_context(|| format!("{what} is {count}"))?;
        Ok((what.clone(), count))
    });
    counts.collect()
}

/// Open descriptors, and the KiB that the kernel keeps for the maps among them.
fn descriptors(agent: u32) -> Result<(u64, u64)> {
    let folder = format!("/proc/{agent}/fdinfo");
    let (mut count, mut maps) = (0, BTreeMap::new());
    for entry in fs::read_dir(&folder).with_context(|| folder.clone())? {
        // One that was closed meanwhile is none.
        let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
        count += 1;
        if let (Ok(id), Ok(bytes)) = (field(&text, "map_id:"), field(&text, "memlock:")) {
            maps.insert(id, bytes);
        }
    }
    Ok((count, maps.values().sum::<u64>() / 1024))
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.to_owned())
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).with_context(|| format!("no number {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let status = "VmRSS:\t 900 kB\nRssAnon:\t     512 kB\nThreads:\t7\n";
        assert_eq!(field(status, "RssAnon:").unwrap(), 512);
        assert_eq!(field(status, "Threads:").unwrap(), 7);
        assert!(field(status, "RssFile:").is_err());
        assert_eq!(
            field("nr_descendants 3\nnr_dying_descendants 1\n", "nr_dying_descendants").unwrap(),
            1
        );
    }
}
