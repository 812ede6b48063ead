//! A container runtime cut down to what the agent sees of one, so that ten thousand starts take minutes on an emulated
//! processor. What crun does is done in the same order: a control group and new namespaces, the root file system mounted,
//! the agent asked as at the stage `createRuntime`, `pivot_root`, the entry point, the stage `poststop` when the control group
//! is gone. Left out is what nobody looks at: mounts beside `/proc`, devices, limits, users, seccomp, a file of the
//! container's state. What `kubearmor hook` sends and waits for is sent and waited for by the same functions, but without a
//! process for each stage: two of these take longer here than all the rest.

use std::{
    ffi::{CStr, CString},
    fs::{self, File},
    io::Write as _,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt as _, process::ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::ExitStatus,
    ptr,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::{
    mount::{
        MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
    },
    pipe::{PipeFlags, pipe_with},
    process::{Pid, Signal, WaitOptions, chdir, kill_process, pivot_root, waitpid},
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout},
};
use serde_json::json;
use workload::{
    hook::{Request, ask, socket},
    oci::State,
};

const CGROUPS: &str = "/sys/fs/cgroup/soak";
const RUN: &str = "/run/kubearmor";
const PATIENCE: Duration = Duration::from_secs(10);
/// Of `linux/sched.h`; wider than what libc has.
const CLONE_INTO_CGROUP: u64 = 1 << 33;
/// How a container's first process ends whose root file system could not be prepared.
const UNPREPARED: i32 = 120;

/// What the first process needs, made beforehand: after the clone it must not allocate.
struct Container {
    root: CString,
    proc: CString,
    program: CString,
    argv: Vec<CString>,
    nowhere: OwnedFd,
    /// Something to read here means that the hook has answered.
    go: OwnedFd,
}

/// Runs a container of this id from beginning to end and returns how its program ended. With `hooks`, the agent is asked.
pub(crate) fn run(bundle: &Path, id: &str, argv: &[String], hooks: bool) -> Result<ExitStatus> {
    let group = PathBuf::from(CGROUPS).join(id);
    fs::create_dir_all(&group).with_context(|| group.display().to_string())?;
    let (go, start) = pipe_with(PipeFlags::CLOEXEC)?;
    let root = bundle.join("rootfs");
    let container = Container {
        proc: path(&root.join("proc"))?,
        root: path(&root)?,
        program: CString::new(argv[0].as_str())?,
        argv: argv.iter().map(|word| CString::new(word.as_str())).collect::<Result<_, _>>()?,
        nowhere: File::options().read(true).write(true).open("/dev/null")?.into(),
        go,
    };
    let pid = clone_into(File::open(&group)?.as_fd(), &container)?;
    if hooks && let Err(refused) = tell(bundle, id, Some(pid)) {
        let _ = kill_process(pid, Signal::KILL);
        waitpid(Some(pid), WaitOptions::empty())?;
        fs::remove_dir(&group)?;
        return Err(refused);
    }
    File::from(start).write_all(b"x")?;
    let (_, status) =
        waitpid(Some(pid), WaitOptions::empty())?.context("the container's first process")?;
    fs::remove_dir(&group).with_context(|| group.display().to_string())?;
    if hooks {
        tell(bundle, id, None)?;
    }
    let status = ExitStatus::from_raw(status.as_raw());
    ensure!(status.code() != Some(UNPREPARED), "the root file system could not be prepared");
    Ok(status)
}

fn path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).with_context(|| path.display().to_string())
}

/// Says what the hook says: before a container with this first process starts, or when it has ended.
pub(crate) fn tell(bundle: &Path, id: &str, first: Option<Pid>) -> Result<()> {
    let request = match first {
        Some(first) => {
            let state = json!({"id": id, "pid": first.as_raw_pid(), "status": "creating", "bundle": bundle});
            let state = State::read(state.to_string().as_bytes())?;
            let specification = fs::read(state.specification())?;
            Request::Starting(state.newcomer(&specification)?)
        }
        None => Request::Ended(id.to_owned()),
    };
    ask(&socket(Path::new(RUN)), &request, PATIENCE, false)
        .with_context(|| format!("container {id}"))
}

/// Starts the container's first process in its control group and in namespaces of its own.
fn clone_into(group: BorrowedFd<'_>, container: &Container) -> Result<Pid> {
    let flags = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    // SAFETY: all fields of this plain structure may be zero.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = u64::from(flags.unsigned_abs()) | CLONE_INTO_CGROUP;
    arguments.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    arguments.cgroup = u64::from(group.as_raw_fd().unsigned_abs());
    let size = size_of::<libc::clone_args>();
    // SAFETY: the arguments outlive the call. Without CLONE_VM the new process has memory of its own, in which only this
    // thread goes on: it calls nothing but `first_process`, which neither allocates nor returns.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size) };
    if pid == 0 {
        first_process(container);
    }
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.ok_or_else(std::io::Error::last_os_error).context("clone3")
}

/// What a runtime does in the container before it is one. Makes system calls only: other threads may have held locks when
/// it was cloned.
fn first_process(container: &Container) -> ! {
    let pointers = |words: &[CString], into: &mut [*const libc::c_char; 8]| {
        for (word, pointer) in words.iter().zip(into.iter_mut()) {
            *pointer = word.as_ptr();
        }
    };
    let mut argv = [ptr::null(); 8];
    pointers(&container.argv[..container.argv.len().min(7)], &mut argv);
    if prepare(container).is_ok() {
        // SAFETY: path and arguments end in NUL, their list and the empty environment in a null pointer.
        unsafe { libc::execve(container.program.as_ptr(), argv.as_ptr(), [ptr::null()].as_ptr()) };
    }
    // SAFETY: ends the process without running anything of the one that it is a copy of.
    unsafe { libc::_exit(UNPREPARED) }
}

fn prepare(container: &Container) -> rustix::io::Result<()> {
    const PROC: &CStr = c"proc";
    mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount_bind(&*container.root, &*container.root)?;
    mount(PROC, &*container.proc, PROC, MountFlags::empty(), None)?;
    if rustix::io::read(&container.go, &mut [0; 1])? == 0 {
        return Err(rustix::io::Errno::CANCELED);
    }
    dup2_stdin(&container.nowhere)?;
    dup2_stdout(&container.nowhere)?;
    dup2_stderr(&container.nowhere)?;
    chdir(&*container.root)?;
    pivot_root(c".", c".")?;
    unmount(c".", UnmountFlags::DETACH)?;
    chdir(c"/")
}
