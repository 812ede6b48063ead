//! Operations on other processes.

use std::{fs::File, os::fd::OwnedFd, ptr::null_mut};

use crate::{
    errno::Errno,
    file_open::read_a_byte,
    words::{Outcome, Words},
};

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

/// Stays until it is ended.
pub(crate) fn pause(_: &Words) -> Outcome {
    loop {
        std::thread::park();
    }
}
