//! Operations on memory and on other processes.

use std::{fs::File, os::fd::OwnedFd, ptr::null_mut};

use crate::{
    errno::Errno,
    file_open::read_a_byte,
    words::{Outcome, Words},
};

pub(crate) fn mmap_exec_anon(_: &Words) -> Outcome {
    // SAFETY: a new private mapping at an address of the kernel's choice; nothing is stored or run there.
    let page = unsafe {
        libc::mmap(
            null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED { Err(Errno::last().into()) } else { Ok(()) }
}

/// Attaches without stopping the process; the end of `probe` lets go of it.
pub(crate) fn ptrace(words: &Words) -> Outcome {
    Ok(seize(words.number(0, "PID")?)?)
}

pub(crate) fn seize(pid: libc::pid_t) -> Result<(), Errno> {
    // SAFETY: PTRACE_SEIZE takes no address of ours.
    let answer = unsafe {
        libc::ptrace(
            libc::PTRACE_SEIZE,
            pid,
            null_mut::<libc::c_void>(),
            null_mut::<libc::c_void>(),
        )
    };
    if answer < 0 { Err(Errno::last()) } else { Ok(()) }
}

pub(crate) fn read_env(words: &Words) -> Outcome {
    let pid: u32 = words.number(0, "PID")?;
    read_a_byte(&OwnedFd::from(File::open(format!("/proc/{pid}/environ"))?))
}
