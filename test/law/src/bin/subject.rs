//! A subject: goes where it is told, becomes the program it is to be judged as, and does what is asked of it.
//!
//! `law-subject enter ROOT CGROUP TERMINAL|- PROGRAM` enters a container and becomes PROGRAM, a copy of itself.
//! With [`law::SERVE`] in its environment it serves requests; in any other case it ends at once, as programs do
//! that are executed only to see whether they may be.
#![expect(
    unsafe_code,
    reason = "system calls that must not succeed, and the user whose files are accessed"
)]

use std::{
    env,
    ffi::{CString, OsStr},
    fs,
    io::{self, BufRead as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};
use law::{APPLET, Call, Deed, Internet, OTHER_USER, READY, Request, SERVE};
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, XattrFlags},
    mount::{MountPropagationFlags, UnmountFlags},
    net::{self, AddressFamily, SendFlags, SocketType},
};

/// Of a service that no machine has any more.
const UNUSED_PORT: u16 = 9;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let done = match words.first().map(String::as_str) {
        _ if env::var_os(SERVE).is_some() => serve(),
        Some("enter") => enter(&words[1..]),
        _ => return ExitCode::SUCCESS,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("law-subject: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn enter(words: &[String]) -> Result<()> {
    let [root, cgroup, terminal, program] = words else {
        bail!("usage: law-subject enter ROOT CGROUP TERMINAL|- PROGRAM");
    };
    let members = Path::new(cgroup).join("cgroup.procs");
    fs::write(&members, "0").with_context(|| members.display().to_string())?;
    rustix::process::setsid().context("setsid")?;
    // A session's leader without a terminal gets the first one that it opens.
    let _terminal = if terminal == "-" {
        None
    } else {
        Some(rustix::fs::open(terminal.as_str(), OFlags::RDWR, Mode::empty()).context("terminal")?)
    };
    // SAFETY: this process has one thread and no file system state that others share.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }
        .context("unshare")?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).context("private mounts")?;
    env::set_current_dir(root).context("root")?;
    rustix::process::pivot_root(".", ".").context("pivot_root")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).context("unmount the old root")?;
    env::set_current_dir("/")?;
    let error = Command::new(program).arg0(APPLET).env_clear().env(SERVE, "1").exec();
    Err(error).with_context(|| format!("cannot become {program}"))
}

fn serve() -> Result<()> {
    // Who is half the other user already may become it without a capability, which the rules may deny.
    // SAFETY: takes numbers and touches no memory.
    answered(unsafe { libc::syscall(libc::SYS_setresuid, OTHER_USER, 0, 0) })?;
    let mut out = io::stdout();
    writeln!(out, "{READY}")?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let request = Request::from_line(&line).with_context(|| format!("what is {line}?"))?;
        set_user(request.user);
        let done = perform(&request.deed);
        set_user(0);
        let errno = match done {
            Ok(()) => 0,
            Err(error) => error.raw_os_error().context(error)?,
        };
        writeln!(out, "{errno}")?;
    }
    Ok(())
}

fn set_user(user: u32) {
    // SAFETY: takes a number and touches no memory.
    unsafe { libc::setfsuid(user) };
}

fn perform(deed: &Deed) -> io::Result<()> {
    match deed {
        Deed::Read(path) => fs::File::open(path).map(drop),
        Deed::Write(path) => fs::File::options().write(true).open(path).map(drop),
        Deed::Chmod(path) => fs::set_permissions(path, fs::Permissions::from_mode(0o777)),
        Deed::Utimes(path) => {
            let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
            let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
            Ok(rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::empty())?)
        }
        Deed::Stat(path) => fs::metadata(path).map(drop),
        Deed::Unlink(path) => fs::remove_file(path),
        Deed::Rmdir(path) => fs::remove_dir(path),
        Deed::Mkdir(path) => fs::create_dir(path),
        Deed::Mknod(path) => Ok(rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0)?),
        Deed::Truncate(path) => truncate(path),
        Deed::Chown(path) => std::os::unix::fs::chown(path, Some(0), None),
        Deed::Setxattr(path) => {
            Ok(rustix::fs::setxattr(path, "user.law", b"1", XattrFlags::empty())?)
        }
        Deed::Rename(old, new) => fs::rename(old, new),
        Deed::Link(old, new) => fs::hard_link(old, new),
        Deed::Peer(call, internet) => peer(*call, *internet),
        Deed::Execute(path, words) => execute(path, words),
        Deed::Socket { family, kind, protocol } => {
            socket((*family).into(), (*kind).into(), (*protocol).into())
        }
        Deed::SetHostname => {
            let none = std::ptr::null::<u8>();
            // SAFETY: the length is refused before the name, which is none, is looked at.
            answered(unsafe { libc::syscall(libc::SYS_sethostname, none, -1) })
        }
        // SAFETY: four zeros are no magic numbers, so nothing is done.
        Deed::Reboot => answered(unsafe { libc::syscall(libc::SYS_reboot, 0, 0, 0, 0) }),
    }
}

fn execute(path: &Path, words: &[Vec<u8>]) -> io::Result<()> {
    let (first, rest) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(path);
    command.arg0(OsStr::from_bytes(first)).env_clear();
    command.args(rest.iter().map(|word| OsStr::from_bytes(word)));
    command.status().map(drop)
}

/// The call itself: opening the file first would be another access.
fn truncate(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path ends in a zero byte and lives as long as the call.
    answered(unsafe { libc::syscall(libc::SYS_truncate, path.as_ptr(), 0) })
}

/// Nobody listens there; a refusal of that kind is none of ours.
fn peer(call: Call, Internet { six, stream }: Internet) -> io::Result<()> {
    let family = if six { AddressFamily::INET6 } else { AddressFamily::INET };
    let kind = if stream { SocketType::STREAM } else { SocketType::DGRAM };
    let socket = net::socket(family, kind, None)?;
    let port = if call == Call::Bind { 0 } else { UNUSED_PORT };
    let here: IpAddr = if six { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
    let address = SocketAddr::new(here, port);
    match call {
        Call::Bind => net::bind(&socket, &address)?,
        Call::Connect => net::connect(&socket, &address)?,
        Call::Send => drop(net::sendto(&socket, b"law", SendFlags::NOSIGNAL, &address)?),
    }
    Ok(())
}

fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<()> {
    // SAFETY: takes numbers.
    let fd = unsafe { libc::socket(family, kind, protocol) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is ours and used nowhere else.
    unsafe { libc::close(fd) };
    Ok(())
}

fn answered(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
