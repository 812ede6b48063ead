//! What this kernel offers, found by looking and trying, with a reason and a remedy for everything that is missing.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
};

/// One thing the enforcer needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    pub name: &'static str,
    /// `Err` says what was found instead and what to change.
    pub state: Result<(), String>,
}

/// The answer to "what can be enforced here".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    pub kernel: String,
    /// The security modules that are active, as the kernel lists them.
    pub lsm: Vec<String>,
    pub items: Vec<Capability>,
}

impl Capabilities {
    /// All that BPF-LSM needs is there, as far as can be said without loading a program.
    pub fn bpf_lsm(&self) -> bool {
        self.items.iter().all(|item| item.state.is_ok())
    }

    /// The reasons why not, one line each.
    pub fn missing(&self) -> impl Iterator<Item = String> + '_ {
        self.items.iter().filter_map(|item| {
            item.state.as_ref().err().map(|reason| format!("{}: {reason}", item.name))
        })
    }
}

/// Looks at the running kernel. Loads nothing.
pub fn probe() -> Capabilities {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |s| s.trim().to_owned());
    let lsm_file = Path::new("/sys/kernel/security/lsm");
    let (lsm, lsm_state) = match fs::read_to_string(lsm_file) {
        Ok(list) => {
            let lsm: Vec<String> = list.trim().split(',').map(str::to_owned).collect();
            let state = if lsm.iter().any(|name| name == "bpf") {
                Ok(())
            } else {
                Err(format!(
                    "`bpf` is not among the active security modules ({}); add `lsm={},bpf` to the kernel's \
                     command line and reboot",
                    list.trim(),
                    list.trim()
                ))
            };
            (lsm, state)
        }
        Err(error) => (
            Vec::new(),
            Err(format!(
                "{} cannot be read ({error}); mount it with `mount -t securityfs none /sys/kernel/security`",
                lsm_file.display()
            )),
        ),
    };
    let items = vec![
        Capability { name: "BPF security module", state: lsm_state },
        Capability {
            name: "kernel type information",
            state: readable(
                "/sys/kernel/btf/vmlinux",
                "use a kernel of 5.17 or later that was built with CONFIG_DEBUG_INFO_BTF=y",
            ),
        },
        Capability {
            name: "control groups",
            state: readable("/sys/fs/cgroup/cgroup.controllers", "").or_else(|_| {
                readable(
                    "/sys/fs/cgroup/devices",
                    "mount the unified hierarchy there, or the hierarchies of version 1",
                )
            }),
        },
        Capability { name: "kernel addresses", state: addresses() },
        Capability { name: "privileges", state: privileged() },
    ];
    Capabilities { kernel, lsm, items }
}

fn readable(path: &str, remedy: &str) -> Result<(), String> {
    fs::metadata(path).map(drop).map_err(|error| format!("{path}: {error}; {remedy}"))
}

/// The programs look at counters of renames and mounts, and at the pages of arguments, by their addresses. Hidden ones
/// read as zero, and nobody else would notice.
fn addresses() -> Result<(), String> {
    const FILE: &str = "/proc/kallsyms";
    let symbols = File::open(FILE).map_err(|error| format!("{FILE}: {error}; mount /proc"))?;
    // Those of a processor's own data are zero in any case.
    let shown = |line: &str| line.split(' ').next().is_some_and(|at| at.contains(|c| c != '0'));
    if BufReader::new(symbols).lines().map_while(Result::ok).any(|line| shown(&line)) {
        Ok(())
    } else {
        Err(format!(
            "{FILE} shows none to the agent; give it CAP_SYSLOG, and if `sysctl kernel.kptr_restrict` is 2, set it to 1"
        ))
    }
}

fn privileged() -> Result<(), String> {
    if rustix::process::geteuid().is_root() {
        Ok(())
    } else {
        Err("not root; the agent needs CAP_BPF, CAP_PERFMON, CAP_SYSLOG, CAP_MAC_ADMIN and \
             CAP_SYS_ADMIN"
            .to_owned())
    }
}
