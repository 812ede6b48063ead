//! The system calls that the running agent makes, and no others: a filter that answers the rest with `EPERM`.
//!
//! The list has what the standard library, tokio, libbpf and musl call for what the agent does with them, on each
//! architecture by its names. To find out what is missing after a change, run the agent with `selfRestriction: log`: the
//! kernel then logs what would be refused (`type=1326`, with the number as `syscall=`).

use std::collections::BTreeMap;

use policy::syscall::{self, Architecture};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Compare,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

/// Whatever their arguments are. One line for each subject.
#[rustfmt::skip]
pub(super) const ANYHOW: &[&str] = &[
    // reading and writing
    "read", "readv", "pread64", "preadv", "write", "writev", "pwrite64", "pwritev", "lseek", "close", "dup", "dup2",
    "dup3", "fcntl", "flock", "fsync", "fdatasync", "ftruncate", "pipe", "pipe2",
    // files by name; no links, devices, attributes or mounts are made
    "open", "openat", "openat2", "stat", "fstat", "lstat", "newfstatat", "statx", "statfs", "fstatfs", "access",
    "faccessat", "faccessat2", "readlink", "readlinkat", "getdents", "getdents64", "getcwd", "rename", "renameat",
    "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "chmod", "fchmod", "fchmodat", "fchmodat2", "chown",
    "fchown", "fchownat", "umask", "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
    // memory
    "brk", "munmap", "mremap", "madvise",
    // threads; clone3 is answered below
    "clone3", "exit", "exit_group", "futex", "gettid", "getpid", "getppid", "set_tid_address", "set_robust_list",
    "get_robust_list", "rseq", "sched_yield", "sched_getaffinity", "restart_syscall", "membarrier",
    // whether a process is the one that is meant
    "pidfd_open",
    // signals
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack",
    // time and waiting
    "nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "poll", "ppoll", "epoll_create1",
    "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2",
    // what the agent is and where it runs
    "getuid", "geteuid", "getgid", "getegid", "getgroups", "uname", "sysinfo", "getrlimit", "getrusage", "getrandom",
    // sockets
    "bind", "listen", "accept", "accept4", "connect", "getsockname", "getpeername", "getsockopt", "shutdown", "sendto",
    "sendmsg", "recvfrom", "recvmsg",
];

/// Only with one of these values in the argument of this number, or with these bits there.
pub(super) struct Narrow {
    pub(super) call: &'static str,
    argument: u8,
    permitted: Permitted,
}

enum Permitted {
    Values(&'static [u64]),
    /// The first are the bits that are looked at.
    Bits(u64, u64),
    /// A pointer that leads nowhere.
    Null,
}

const CLONE_THREAD: u64 = 0x1_0000;
const PROT_EXEC: u64 = 4;
const PR_SET_NAME: u64 = 15;
const SIGABRT: u64 = 6;
/// `AF_UNIX`, `AF_INET`, `AF_INET6`
const FAMILIES: &[u64] = &[1, 2, 10];
/// `SOL_SOCKET`, `SOL_TCP`, `SOL_IPV6`, by which the C library asks name servers; not those of the packet filter
const LEVELS: &[u64] = &[1, 6, 41];
/// `TCGETS`, `TIOCGWINSZ`, `FIONREAD`, `FIONBIO`, `FIOCLEX`
const REQUESTS: &[u64] = &[0x5401, 0x5413, 0x541b, 0x5421, 0x5451];
/// Elements of maps (1 to 4), pinning and opening pins (6, 7), information (15), attaching (17, 28), running an iterator (33), detaching (34):
/// no program is loaded any more, and no map made.
const BPF: &[u64] = &[1, 2, 3, 4, 6, 7, 15, 17, 28, 33, 34];

pub(super) const NARROWLY: &[Narrow] = &[
    // A thread; never a process.
    Narrow { call: "clone", argument: 0, permitted: Permitted::Bits(CLONE_THREAD, CLONE_THREAD) },
    Narrow { call: "mmap", argument: 2, permitted: Permitted::Bits(PROT_EXEC, 0) },
    Narrow { call: "mprotect", argument: 2, permitted: Permitted::Bits(PROT_EXEC, 0) },
    Narrow { call: "bpf", argument: 0, permitted: Permitted::Values(BPF) },
    Narrow { call: "socket", argument: 0, permitted: Permitted::Values(FAMILIES) },
    Narrow { call: "socketpair", argument: 0, permitted: Permitted::Values(FAMILIES) },
    Narrow { call: "setsockopt", argument: 1, permitted: Permitted::Values(LEVELS) },
    Narrow { call: "ioctl", argument: 1, permitted: Permitted::Values(REQUESTS) },
    Narrow { call: "prctl", argument: 0, permitted: Permitted::Values(&[PR_SET_NAME]) },
    // Asking for a limit, not setting it.
    Narrow { call: "prlimit64", argument: 2, permitted: Permitted::Null },
    // How a program ends itself that finds something impossible.
    Narrow { call: "tkill", argument: 1, permitted: Permitted::Values(&[SIGABRT]) },
    Narrow { call: "tgkill", argument: 2, permitted: Permitted::Values(&[SIGABRT]) },
];

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Puts the filter on all threads. `only_log`: what it would refuse is permitted, and the kernel logs it.
pub(super) fn restrict(only_log: bool) -> Result<String, String> {
    let arch = std::env::consts::ARCH;
    let native = Architecture::native().ok_or_else(|| format!("not known on {arch}"))?;
    let target = TargetArch::try_from(arch).map_err(|problem| problem.to_string())?;
    let refused = if only_log { SeccompAction::Log } else { SeccompAction::Errno(EPERM) };
    let permitted = permitted(native).map_err(|problem| problem.to_string())?;
    let count = permitted.len();
    let list = program(permitted, refused, SeccompAction::Allow, target)?;
    // Its flags lie in memory, where no filter sees them. C libraries that do not find it use clone.
    let clone3 = syscall::number("clone3", native).map(|number| (number.into(), Vec::new()));
    let without_clone3 = program(
        clone3.into_iter().collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(ENOSYS),
        target,
    )?;
    // The list last: it has no calls to install filters.
    for filter in [&without_clone3, &list] {
        apply_filter_all_threads(filter).map_err(|problem| problem.to_string())?;
    }
    let rest = if only_log { "permitted and logged by the kernel" } else { "refused" };
    Ok(format!("system calls in use: {count}; all others are {rest}"))
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn program(
    rules: Rules,
    otherwise: SeccompAction,
    matching: SeccompAction,
    target: TargetArch,
) -> Result<BpfProgram, String> {
    let filter = SeccompFilter::new(rules, otherwise, matching, target);
    filter.and_then(TryInto::try_into).map_err(|problem| problem.to_string())
}

fn permitted(architecture: Architecture) -> Result<Rules, seccompiler::BackendError> {
    let number = |call| syscall::number(call, architecture).map(i64::from);
    let mut rules: Rules =
        ANYHOW.iter().filter_map(|call| Some((number(call)?, Vec::new()))).collect();
    for narrow in NARROWLY {
        let Some(number) = number(narrow.call) else { continue };
        rules.insert(number, narrow.rules()?);
    }
    Ok(rules)
}

impl Narrow {
    /// One of them has to match.
    fn rules(&self) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
        let one = |width, compare, value| {
            SeccompRule::new(vec![SeccompCondition::new(self.argument, width, compare, value)?])
        };
        match self.permitted {
            Permitted::Values(values) => {
                values.iter().map(|value| one(Width::Dword, Compare::Eq, *value)).collect()
            }
            Permitted::Bits(mask, bits) => {
                Ok(vec![one(Width::Dword, Compare::MaskedEq(mask), bits)?])
            }
            Permitted::Null => Ok(vec![one(Width::Qword, Compare::Eq, 0)?]),
        }
    }
}
