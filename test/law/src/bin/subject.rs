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
    ffi::OsStr,
    fs,
    io::{self, BufRead as _, Write as _},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};
use law::{APPLET, Deed, OTHER_USER, READY, Request, SERVE};
use rustix::{
    fs::{Mode, OFlags},
    mount::{MountPropagationFlags, UnmountFlags},
};

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
            Ok(rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::empty())?)
        }
        Deed::Stat(path) => fs::metadata(path).map(drop),
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
