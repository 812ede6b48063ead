//! The first process of a pod: holds its namespaces, buries its orphans and ends when it is told to.
#![expect(unsafe_code, reason = "no safe library waits for signals")]

use std::{io, mem::MaybeUninit, process::ExitCode, ptr};

fn main() -> ExitCode {
    let (set, signals) = match waited_for() {
        Ok(set) => (set, [libc::SIGINT, libc::SIGTERM]),
        Err(error) => {
            eprintln!("pause: signals cannot be waited for: {error}");
            return ExitCode::FAILURE;
        }
    };
    loop {
        // SAFETY: the set is initialised, and nothing is asked of the signal but its number.
        let signal = unsafe { libc::sigwaitinfo(&raw const set, ptr::null_mut()) };
        if signal == libc::SIGCHLD {
            bury();
        } else if signals.contains(&signal) {
            return ExitCode::SUCCESS;
        }
    }
}

/// The signals, from now on blocked: the first process of a namespace gets none that it does not ask for.
fn waited_for() -> io::Result<libc::sigset_t> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set before the others read it.
    let blocked = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGCHLD] {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut())
    };
    if blocked != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `sigemptyset` has initialised it.
    Ok(unsafe { set.assume_init() })
}

/// One signal may stand for several children.
fn bury() {
    // SAFETY: nothing is asked but whether there was one.
    while unsafe { libc::waitpid(-1, ptr::null_mut(), libc::WNOHANG) } > 0 {}
}
