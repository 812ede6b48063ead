//! What the settings should be, to compare them with what they are.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::shared::Settings;

/// The settings that user space decides on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) host_inode: u64,
    pub(crate) host_device: u32,
    pub(crate) host_mounts: u32,
    pub(crate) five_levels: u32,
    pub(crate) host_slot: u32,
    pub(crate) host_generation: u32,
    /// Nanoseconds.
    pub(crate) merge_window: u64,
    pub(crate) pass_unresolved: u32,
    /// The agent's process, as the programs have seen it themselves.
    pub(crate) agent: u32,
    pub(crate) agent_start: u64,
}

impl Wanted {
    /// Makes the settings what is wanted; returns what of them was something else.
    pub(crate) fn bring_about(&self, settings: &Settings) -> Vec<&'static str> {
        let mut differed = Vec::new();
        let mut long = |name, is: &AtomicU64, wanted: u64| {
            if is.load(Ordering::Relaxed) != wanted {
                is.store(wanted, Ordering::Release);
                differed.push(name);
            }
        };
        long("host root", &settings.host_inode, self.host_inode);
        long("merge window", &settings.merge_window, self.merge_window);
        long("agent", &settings.agent_start, self.agent_start);
        let mut short = |name, is: &AtomicU32, wanted: u32| {
            if is.load(Ordering::Relaxed) != wanted {
                is.store(wanted, Ordering::Release);
                differed.push(name);
            }
        };
        short("host root", &settings.host_device, self.host_device);
        short("host mounts", &settings.host_mounts, self.host_mounts);
        short("page tables", &settings.five_levels, self.five_levels);
        // A slot counts only with its generation, so that comes first.
        short("host slot", &settings.host_generation, self.host_generation);
        short("host slot", &settings.host_slot, self.host_slot);
        short("unresolved paths", &settings.pass_unresolved, self.pass_unresolved);
        short("agent", &settings.agent, self.agent);
        differed.dedup();
        differed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All zero, as the kernel makes it.
    fn empty() -> Settings {
        Settings {
            next_exec: AtomicU64::new(0),
            host_inode: AtomicU64::new(0),
            host_device: AtomicU32::new(0),
            five_levels: AtomicU32::new(0),
            host_slot: AtomicU32::new(0),
            host_generation: AtomicU32::new(0),
            lost_alerts: AtomicU64::new(0),
            lost_execs: AtomicU64::new(0),
            unlabelled: AtomicU64::new(0),
            lost_logs: AtomicU64::new(0),
            merge_window: AtomicU64::new(0),
            host_mounts: AtomicU32::new(0),
            looking: AtomicU32::new(0),
            look: AtomicU32::new(0),
            old_beyond: AtomicU32::new(0),
            agent_start: AtomicU64::new(0),
            agent: AtomicU32::new(0),
            pass_unresolved: AtomicU32::new(0),
            legacy_groups: AtomicU32::new(0),
            spare: AtomicU32::new(0),
        }
    }

    #[test]
    fn what_differs_is_told_once_and_put_right() {
        let settings = empty();
        let wanted = Wanted { host_slot: 3, host_generation: 5, agent: 7, ..Wanted::default() };
        assert_eq!(wanted.bring_about(&settings), ["host slot", "agent"]);
        assert_eq!(wanted.bring_about(&settings), [""; 0]);
        settings.pass_unresolved.store(1, Ordering::Relaxed);
        settings.lost_alerts.store(9, Ordering::Relaxed);
        assert_eq!(wanted.bring_about(&settings), ["unresolved paths"]);
        assert_eq!(settings.lost_alerts.load(Ordering::Relaxed), 9, "the programs' own");
    }
}
