//! The table of operations, in the kernel's order.

use std::{
    ffi::CString,
    fs::{self, File},
    io::Write,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::fs::{PermissionsExt, chown},
    },
    path::PathBuf,
    ptr::{null, null_mut},
};

use crate::{errno::Errno, process, socket};

use super::{Act, Capability};

const fn capability(name: &'static str, prepare: fn() -> Result<Act, Errno>) -> Capability {
    Capability { name, beside: None, prepare }
}

const BPF: usize = 39;

pub(super) const OPERATIONS: &[Capability] = &[
    capability("CHOWN", || {
        let file = Scratch::new()?;
        act(move || Ok(chown(&file.0, Some(NOBODY), None)?))
    }),
    capability("DAC_OVERRIDE", || {
        let file = Scratch::with_mode(0)?;
        act(move || Ok(File::options().write(true).open(&file.0).map(drop)?))
    }),
    capability("DAC_READ_SEARCH", || {
        let file = Scratch::with_mode(0)?;
        act(move || Ok(File::open(&file.0).map(drop)?))
    }),
    capability("FOWNER", || {
        let file = Scratch::of_nobody()?;
        act(move || Ok(fs::set_permissions(&file.0, PermissionsExt::from_mode(0o600))?))
    }),
    capability("FSETID", || {
        let file = Scratch::with_mode(0o4755)?;
        act(move || {
            // The kernel takes the bit away silently.
            File::options().write(true).open(&file.0)?.write_all(b"x")?;
            let kept = fs::metadata(&file.0)?.permissions().mode() & 0o4000 != 0;
            if kept { Ok(()) } else { Err(Errno::PERM) }
        })
    }),
    capability("KILL", || {
        let child = Sleeper::start(|| {
            // SAFETY: plain number; the child has one thread.
            unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) >= 0 }
        })?;
        act(move || {
            let child = child; // All of it, or it would be dropped before.
            // SAFETY: signal 0 only asks for the right to send.
            check(unsafe { libc::kill(child.pid, 0) }.into())
        })
    }),
    capability("SETGID", || {
        // SAFETY: plain numbers; the process has one thread.
        act(|| check(unsafe { libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY) }))
    }),
    capability("SETUID", || {
        // SAFETY: plain numbers; the process has one thread.
        act(|| check(unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) }))
    }),
    capability("SETPCAP", || {
        const BLOCK_SUSPEND: libc::c_ulong = 36;
        // SAFETY: plain numbers; the set is this process's own.
        act(|| check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, BLOCK_SUSPEND, 0, 0, 0) }.into()))
    }),
    capability("LINUX_IMMUTABLE", || {
        let file = Scratch::new()?;
        act(move || make_append_only(&file))
    }),
    capability("NET_BIND_SERVICE", || act(bind_a_low_port)),
    capability("NET_BROADCAST", || {
        const NETLINK_LISTEN_ALL_NSID: i32 = 8;
        let socket = socket::open(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
        act(move || socket::set_option(&socket, libc::SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1))
    }),
    capability("NET_ADMIN", || {
        let socket = socket::open(libc::AF_UNIX, libc::SOCK_DGRAM, 0)?;
        act(move || socket::set_option(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, 65536))
    }),
    capability("NET_RAW", || {
        act(|| socket::open(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP).map(drop))
    }),
    capability("IPC_LOCK", || {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the limit is read from `none`.
        check(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const none) }.into())?;
        let byte = Box::new(0_u8);
        // SAFETY: the box's page exists; locking does not change it.
        act(move || check(unsafe { libc::mlock((&raw const *byte).cast(), 1) }.into()))
    }),
    capability("IPC_OWNER", || act(read_a_queue_without_mode_bits)),
    capability("SYS_MODULE", || {
        act(|| {
            // SAFETY: the name ends in NUL; no such module exists.
            expect(Errno::NOENT, unsafe {
                libc::syscall(
                    libc::SYS_delete_module,
                    c"kubearmor_probe".as_ptr(),
                    libc::O_NONBLOCK,
                )
            })
        })
    }),
    capability("SYS_RAWIO", || {
        const DELAY_PORT: libc::c_ulong = 0x80;
        // SAFETY: only permits this process to use a port; it uses none.
        act(|| check(unsafe { libc::syscall(libc::SYS_ioperm, DELAY_PORT, 1, 1) }))
    }),
    capability("SYS_CHROOT", || act(|| Ok(rustix::process::chroot("/")?))),
    capability("SYS_PTRACE", || {
        let child = Sleeper::start(|| {
            // SAFETY: plain numbers. A process that is not dumpable is closed even to its own user.
            unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 }
        })?;
        act(move || {
            let child = child; // All of it, or it would be dropped before.
            process::seize(child.pid)
        })
    }),
    capability("SYS_PACCT", || {
        // SAFETY: the path ends in NUL. It does not exist, so accounting stays as it is.
        act(|| expect(Errno::NOENT, unsafe { libc::acct(c"/proc/no-such-file".as_ptr()) }.into()))
    }),
    capability("SYS_ADMIN", || {
        // SAFETY: the process has one thread; a UTS namespace of its own touches nobody.
        act(|| check(unsafe { libc::unshare(libc::CLONE_NEWUTS) }.into()))
    }),
    capability("SYS_BOOT", || {
        // SAFETY: without the magic numbers the kernel does nothing, after it has asked for the capability.
        act(|| expect(Errno::INVAL, unsafe { libc::syscall(libc::SYS_reboot, 0, 0, 0, 0) }))
    }),
    capability("SYS_NICE", || {
        // SAFETY: plain numbers.
        act(|| check(unsafe { libc::syscall(libc::SYS_setpriority, 0, 0, -1) }))
    }),
    capability("SYS_RESOURCE", || {
        let low = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the limit is read from `low`.
        check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const low) }.into())?;
        act(|| {
            let high = libc::rlimit { rlim_cur: 0, rlim_max: 1 };
            // SAFETY: the limit is read from `high`.
            check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const high) }.into())
        })
    }),
    capability("SYS_TIME", || {
        act(|| {
            // SAFETY: all-zero is a valid `timex`.
            let mut impossible: libc::timex = unsafe { std::mem::zeroed() };
            impossible.modes = libc::ADJ_TICK; // A tick of zero is refused, after the capability was asked for.
            // SAFETY: the kernel reads and fills `impossible`.
            expect(Errno::INVAL, unsafe { libc::adjtimex(&raw mut impossible) }.into())
        })
    }),
    capability("SYS_TTY_CONFIG", || {
        let _ = rustix::process::setsid(); // Without a controlling terminal there is none to hang up.
        // SAFETY: takes nothing.
        act(|| check(unsafe { libc::syscall(libc::SYS_vhangup) }))
    }),
    capability("MKNOD", || {
        let place = Scratch::path();
        act(move || {
            let path = c_path(&place.0)?;
            let null_device = libc::makedev(1, 3);
            // SAFETY: the path ends in NUL.
            check(unsafe { libc::mknod(path.as_ptr(), libc::S_IFCHR | 0o600, null_device) }.into())
        })
    }),
    capability("LEASE", || {
        let file = Scratch::of_nobody()?;
        let open = File::open(&file.0)?;
        act(move || {
            let _file = file;
            // SAFETY: plain numbers.
            check(unsafe { libc::fcntl(open.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) }.into())
        })
    }),
    capability("AUDIT_WRITE", || {
        let socket = socket::open(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT)?;
        act(move || write_an_audit_message(&socket))
    }),
    capability("AUDIT_CONTROL", || {
        // The first login id may be set by everybody, a second one may not.
        fs::write("/proc/self/loginuid", "0")?;
        act(|| Ok(fs::write("/proc/self/loginuid", "0")?))
    }),
    capability("SETFCAP", || {
        let file = Scratch::new()?;
        act(move || {
            const REVISION_2_NOTHING: [u8; 20] =
                [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let flags = rustix::fs::XattrFlags::empty();
            Ok(rustix::fs::setxattr(&file.0, "security.capability", &REVISION_2_NOTHING, flags)?)
        })
    }),
    // Only Smack asks for this one.
    capability("MAC_OVERRIDE", || act(|| Err(Errno::NOTSUP))),
    capability("MAC_ADMIN", || {
        act(|| {
            let remove = "/sys/kernel/security/apparmor/.remove";
            let mut file = File::options().write(true).open(remove).map_err(|_| Errno::NOTSUP)?;
            match file.write(b"no-such-profile-of-the-probe").map_err(Errno::from) {
                Ok(_) | Err(Errno::NOENT) => Ok(()),
                Err(errno) => Err(errno),
            }
        })
    }),
    capability("SYSLOG", || {
        const SIZE_UNREAD: libc::c_int = 9;
        // SAFETY: this action reads no buffer.
        act(|| check(unsafe { libc::syscall(libc::SYS_syslog, SIZE_UNREAD, null::<u8>(), 0) }))
    }),
    capability("WAKE_ALARM", || {
        // SAFETY: plain numbers.
        act(|| check(unsafe { libc::timerfd_create(libc::CLOCK_BOOTTIME_ALARM, 0) }.into()))
    }),
    capability("BLOCK_SUSPEND", || act(watch_with_wakeup)),
    capability("AUDIT_READ", || {
        let socket = socket::open(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT)?;
        act(move || read_the_audit_log(&socket))
    }),
    Capability { beside: Some(BPF), ..capability("PERFMON", || act(load_a_tracing_program)) },
    capability("BPF", || {
        const BTF_LOAD: libc::c_int = 18;
        let nothing = [0_u64; 4];
        act(move || {
            // SAFETY: the attributes are read from `nothing` and describe an empty, invalid BTF.
            expect(Errno::INVAL, unsafe {
                libc::syscall(libc::SYS_bpf, BTF_LOAD, nothing.as_ptr(), 32)
            })
        })
    }),
    capability("CHECKPOINT_RESTORE", || {
        let maps = fs::read_to_string("/proc/self/maps")?;
        let line = maps.lines().find(|line| line.contains('/')).ok_or(Errno::NOENT)?;
        let range = line.split(' ').next().unwrap_or_default().to_owned();
        act(move || Ok(File::open(format!("/proc/self/map_files/{range}")).map(drop)?))
    }),
];

/// As `chown` has it: the one who is not us.
const NOBODY: u32 = 65534;

#[expect(clippy::unnecessary_wraps, reason = "the shape that every preparation returns")]
fn act(act: impl FnOnce() -> Result<(), Errno> + 'static) -> Result<Act, Errno> {
    Ok(Box::new(act))
}

fn check(answer: libc::c_long) -> Result<(), Errno> {
    if answer < 0 { Err(Errno::last()) } else { Ok(()) }
}

/// For calls that ask for the capability first and then find fault with their arguments.
fn expect(fault: Errno, answer: libc::c_long) -> Result<(), Errno> {
    match check(answer) {
        Err(errno) if errno != fault => Err(errno),
        _ => Ok(()),
    }
}

/// A file in the directory for temporary ones, gone with its owner.
struct Scratch(PathBuf);

impl Scratch {
    fn path() -> Self {
        Self(std::env::temp_dir().join(format!("probe-{}", std::process::id())))
    }

    fn new() -> Result<Self, Errno> {
        let scratch = Self::path();
        File::create_new(&scratch.0)?;
        Ok(scratch)
    }

    fn with_mode(mode: u32) -> Result<Self, Errno> {
        let scratch = Self::new()?;
        fs::set_permissions(&scratch.0, PermissionsExt::from_mode(mode))?;
        Ok(scratch)
    }

    fn of_nobody() -> Result<Self, Errno> {
        let scratch = Self::with_mode(0o644)?;
        chown(&scratch.0, Some(NOBODY), None)?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A child that ends when this is dropped or the parent ends. Not by a signal, for which the right may be missing.
struct Sleeper {
    pid: libc::pid_t,
    /// The child waits for the end of this pipe.
    _wake: OwnedFd,
}

impl Sleeper {
    /// Returns once the child has made itself ready.
    fn start(make_ready: fn() -> bool) -> Result<Self, Errno> {
        let (answer, child_answers) = rustix::pipe::pipe()?;
        let (child_waits, wake) = rustix::pipe::pipe()?;
        // SAFETY: the process has one thread; the child calls only the kernel.
        match unsafe { libc::fork() } {
            ..0 => Err(Errno::last()),
            0 => {
                drop((answer, wake));
                let ready = make_ready();
                let _ = rustix::io::write(&child_answers, if ready { b"y" } else { b"n" });
                let _ = rustix::io::read(&child_waits, &mut [0]);
                // SAFETY: ends the child without running what the parent registered.
                unsafe { libc::_exit(0) }
            }
            pid => {
                drop((child_answers, child_waits));
                let mut byte = [0];
                let read = rustix::io::read(&answer, &mut byte)?;
                if read == 1 && byte == *b"y" {
                    Ok(Self { pid, _wake: wake })
                } else {
                    Err(Errno::PERM)
                }
            }
        }
    }
}

fn c_path(path: &std::path::Path) -> Result<CString, Errno> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)
}

fn make_append_only(file: &Scratch) -> Result<(), Errno> {
    use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
    let open = File::open(&file.0)?;
    let flags = ioctl_getflags(&open)?;
    ioctl_setflags(&open, flags | IFlags::APPEND)?;
    Ok(ioctl_setflags(&open, flags)?) // Or the file could not be removed.
}

fn bind_a_low_port() -> Result<(), Errno> {
    let socket = socket::open(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    for port in (700..1000).rev() {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        match rustix::net::bind(&socket, &address) {
            Err(rustix::io::Errno::ADDRINUSE) => {}
            other => return Ok(other?),
        }
    }
    Err(Errno(libc::EADDRINUSE))
}

fn read_a_queue_without_mode_bits() -> Result<(), Errno> {
    // SAFETY: plain numbers; the queue is private to this process.
    let queue = unsafe { libc::msgget(libc::IPC_PRIVATE, libc::IPC_CREAT) };
    check(queue.into())?;
    let mut buffer = [0_u64; 2];
    // SAFETY: room for a type and eight bytes. The queue is empty, which is what a permitted reader learns.
    let read = expect(Errno(libc::ENOMSG), unsafe {
        libc::msgrcv(queue, buffer.as_mut_ptr().cast(), 8, 0, libc::IPC_NOWAIT)
    } as libc::c_long);
    // SAFETY: removes the queue made above.
    unsafe { libc::msgctl(queue, libc::IPC_RMID, null_mut()) };
    read
}

/// Sends `AUDIT_USER` and waits for the acknowledgement.
fn write_an_audit_message(socket: &OwnedFd) -> Result<(), Errno> {
    const AUDIT_USER: u16 = 1005;
    const REQUEST_AND_ACK: u16 = 1 | 4;
    const HEADER: usize = 16;
    let text = b"probe\0\0\0";
    let mut message = Vec::new();
    message.extend(u32::try_from(HEADER + text.len()).map_err(|_| Errno::INVAL)?.to_ne_bytes());
    message.extend(AUDIT_USER.to_ne_bytes());
    message.extend(REQUEST_AND_ACK.to_ne_bytes());
    message.extend([0; 8]); // Sequence and port.
    message.extend(text);
    let kernel = rustix::net::netlink::SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(socket, &message, rustix::net::SendFlags::empty(), &kernel)?;
    let mut answer = [0_u8; 64];
    let (length, _) = rustix::net::recv(socket, &mut answer[..], rustix::net::RecvFlags::empty())?;
    let errno = answer[..length].get(HEADER..HEADER + 4).ok_or(Errno::INVAL)?;
    match i32::from_ne_bytes(errno.try_into().map_err(|_| Errno::INVAL)?) {
        0 => Ok(()),
        errno => Err(Errno(-errno)),
    }
}

fn read_the_audit_log(socket: &OwnedFd) -> Result<(), Errno> {
    const READLOG_GROUP: u32 = 1;
    let address = rustix::net::netlink::SocketAddrNetlink::new(0, READLOG_GROUP);
    Ok(rustix::net::bind(socket, &address)?)
}

/// Without the capability the kernel takes the flag away silently.
fn watch_with_wakeup() -> Result<(), Errno> {
    // SAFETY: plain numbers; the descriptor dies with the process.
    let descriptor = unsafe { libc::epoll_create1(0) };
    check(descriptor.into())?;
    // SAFETY: the kernel just gave this descriptor to us alone.
    let poll = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let (watched, _other) = rustix::pipe::pipe()?;
    let wanted = (libc::EPOLLIN | libc::EPOLLWAKEUP).cast_unsigned();
    let mut event = libc::epoll_event { events: wanted, u64: 0 };
    // SAFETY: the event is read from `event`.
    let answer = unsafe {
        libc::epoll_ctl(poll.as_raw_fd(), libc::EPOLL_CTL_ADD, watched.as_raw_fd(), &raw mut event)
    };
    check(answer.into())?;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", poll.as_raw_fd()))?;
    let mask = info
        .split_once("events:")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .and_then(|mask| u32::from_str_radix(mask, 16).ok())
        .unwrap_or(0);
    if mask & libc::EPOLLWAKEUP.cast_unsigned() != 0 { Ok(()) } else { Err(Errno::PERM) }
}

/// Debian's kernels want `CAP_SYS_ADMIN` for the performance counters themselves; what is left is loading a BPF program
/// of the tracing kind, which needs `CAP_BPF` too. Its instructions are missing, which is found out last.
fn load_a_tracing_program() -> Result<(), Errno> {
    const PROG_LOAD: libc::c_int = 5;
    const KPROBE: u64 = 2;
    const ONE_INSTRUCTION: u64 = 1 << 32;
    let mut attributes = [0_u64; 16];
    attributes[0] = KPROBE | ONE_INSTRUCTION;
    attributes[2] = c"GPL".as_ptr() as u64;
    // SAFETY: the attributes are read from the array, whose size is given.
    expect(Errno(libc::EFAULT), unsafe {
        libc::syscall(libc::SYS_bpf, PROG_LOAD, attributes.as_ptr(), 128)
    })
}
