//! Ways to get executable memory. Nothing is ever run there.

use std::{
    fs::File,
    io::Write,
    os::fd::{AsRawFd, OwnedFd},
    ptr::null_mut,
};

use libc::{
    MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, PROT_EXEC, PROT_READ, PROT_WRITE, c_int, c_void,
};
use rustix::fs::{self, MemfdFlags, Mode, OFlags};

use crate::{
    errno::Errno,
    words::{Outcome, Refusal, Words},
};

const PAGE: usize = 4096;

pub(crate) fn mmap_exec_anon(_: &Words) -> Outcome {
    map(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, None)?;
    Ok(())
}

/// Executable memory in one of many ways; `file`, `file-shared` and `file-protect` are what ordinary programs do.
pub(crate) fn map_exec(words: &Words) -> Outcome {
    let named = |flags| Ok::<_, Refusal>(fs::open(words.word(1, "PATH")?, flags, Mode::empty())?);
    match words.text(0, "WAY")? {
        "anonymous-shared" => {
            map(PROT_READ | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS, None)?;
        }
        "protect" => {
            let page = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, None)?;
            store(page);
            protect(page, PROT_READ | PROT_EXEC)?;
        }
        "pkey-protect" => {
            let page = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, None)?;
            pkey_protect(page, PROT_READ | PROT_EXEC)?;
        }
        "memory" => {
            map(PROT_READ | PROT_EXEC, MAP_SHARED, Some(&memory()?))?;
        }
        "memory-protect" => {
            let page = map(PROT_READ, MAP_PRIVATE, Some(&memory()?))?;
            protect(page, PROT_READ | PROT_EXEC)?;
        }
        "file" => {
            map(PROT_READ | PROT_EXEC, MAP_PRIVATE, Some(&named(OFlags::RDONLY)?))?;
        }
        "file-shared" => {
            map(PROT_READ | PROT_EXEC, MAP_SHARED, Some(&named(OFlags::RDONLY)?))?;
        }
        "file-protect" => {
            let page = map(PROT_READ, MAP_PRIVATE, Some(&named(OFlags::RDONLY)?))?;
            protect(page, PROT_READ | PROT_EXEC)?;
        }
        "file-writable" => {
            let all = PROT_READ | PROT_WRITE | PROT_EXEC;
            map(all, MAP_PRIVATE, Some(&named(OFlags::RDONLY)?))?;
        }
        "file-written" => {
            let page = map(PROT_READ | PROT_WRITE, MAP_PRIVATE, Some(&named(OFlags::RDONLY)?))?;
            store(page);
            protect(page, PROT_READ | PROT_EXEC)?;
        }
        "file-made-writable" => {
            let page = map(PROT_READ | PROT_EXEC, MAP_PRIVATE, Some(&named(OFlags::RDONLY)?))?;
            protect(page, PROT_READ | PROT_WRITE | PROT_EXEC)?;
        }
        other => return Err(Refusal::Usage(format!("WAY: unknown: {other}"))),
    }
    Ok(())
}

fn memory() -> Result<OwnedFd, Refusal> {
    let memory = fs::memfd_create("probe", MemfdFlags::CLOEXEC)?;
    File::from(memory.try_clone()?).write_all(&[0; PAGE])?;
    Ok(memory)
}

fn map(protection: c_int, flags: c_int, file: Option<&OwnedFd>) -> Result<*mut c_void, Errno> {
    let descriptor = file.map_or(-1, AsRawFd::as_raw_fd);
    // SAFETY: a new mapping at an address of the kernel's choice.
    let page = unsafe { libc::mmap(null_mut(), PAGE, protection, flags, descriptor, 0) };
    if page == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(page) }
}

/// Has the page copied, where it is one of a file.
fn store(page: *mut c_void) {
    // SAFETY: the page was mapped writable just now, and nothing else knows of it.
    unsafe { page.cast::<u8>().write_volatile(0) };
}

fn protect(page: *mut c_void, protection: c_int) -> Result<(), Errno> {
    // SAFETY: the page was mapped just now, and nothing else knows of it.
    if unsafe { libc::mprotect(page, PAGE, protection) } == 0 { Ok(()) } else { Err(Errno::last()) }
}

/// With the key that all memory has, so that it works on every processor.
fn pkey_protect(page: *mut c_void, protection: c_int) -> Result<(), Errno> {
    // SAFETY: as for `protect`.
    let answer = unsafe { libc::syscall(libc::SYS_pkey_mprotect, page, PAGE, protection, -1) };
    if answer == 0 { Ok(()) } else { Err(Errno::last()) }
}
