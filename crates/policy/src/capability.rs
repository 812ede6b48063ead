//! Capabilities by name and number.
//!
//! Source: `include/uapi/linux/capability.h`.

use crate::Capability;

/// The place in the table is the kernel's number.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

impl Capability {
    /// All that the kernel has, by number.
    pub fn all() -> impl Iterator<Item = Self> {
        (0u8..).take(NAMES.len()).map(Self)
    }

    /// The kernel's name, `CAP_NET_RAW`; `CAP_UNKNOWN` for a number that the kernel does not have.
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("CAP_UNKNOWN")
    }

    /// Reads a name in any letter case, with or without `cap_`.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.to_ascii_uppercase();
        let bare = name.strip_prefix("CAP_").unwrap_or(&name);
        Self::all().find(|capability| capability.bare_name() == bare)
    }

    fn bare_name(self) -> &'static str {
        self.name().trim_start_matches("CAP_")
    }

    /// What policies write: `net_raw`.
    pub(crate) fn policy_names() -> Vec<String> {
        Self::all().map(|capability| capability.bare_name().to_ascii_lowercase()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(Capability::parse("net_raw"), Some(Capability(13)));
        assert_eq!(Capability::parse("CAP_Net_Raw"), Some(Capability(13)));
        assert_eq!(Capability::parse("checkpoint_restore"), Some(Capability(40)));
        assert_eq!(Capability::parse("cap_"), None);
        assert_eq!(Capability::parse("cap_cap_chown"), None);
        assert_eq!(Capability(38).name(), "CAP_PERFMON");
        assert_eq!(Capability(41).name(), "CAP_UNKNOWN");
        assert!(Capability::all().all(|cap| Capability::parse(cap.name()) == Some(cap)));
    }
}
