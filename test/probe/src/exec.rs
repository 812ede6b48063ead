//! Every way to become another program.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io::Read,
    os::fd::{AsRawFd, RawFd},
};

use rustix::fs::{self, MemfdFlags, Mode, OFlags};

use crate::{
    errno::Errno,
    words::{Outcome, Refusal, Words},
};

/// Where a program that names no loader of its own would find one.
const DEFAULT_LOADER: &CStr = c"/lib64/ld-linux-x86-64.so.2";

pub(crate) fn exec(words: &Words) -> Outcome {
    words.word(0, "PATH")?;
    become_path(words.rest(0))
}

pub(crate) fn exec_as(words: &Words) -> Outcome {
    words.word(1, "PATH")?;
    let (argv0, rest) = (words.rest(0), words.rest(2));
    let argv: Vec<_> = argv0.iter().take(1).chain(rest).cloned().collect();
    execve(words.word(1, "PATH")?, &argv)
}

pub(crate) fn execveat(words: &Words) -> Outcome {
    let path = words.word(0, "PATH")?;
    execveat_call(libc::AT_FDCWD, path, words.rest(0), 0)
}

pub(crate) fn fexec(words: &Words) -> Outcome {
    let program = fs::open(words.word(0, "PATH")?, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    execveat_call(program.as_raw_fd(), c"", words.rest(0), libc::AT_EMPTY_PATH)
}

pub(crate) fn memfd_exec(words: &Words) -> Outcome {
    let mut original = File::from(fs::open(words.word(0, "PATH")?, OFlags::RDONLY, Mode::empty())?);
    let memory = fs::memfd_create("probe", MemfdFlags::CLOEXEC)?;
    std::io::copy(&mut original, &mut File::from(memory.try_clone()?))?;
    execveat_call(memory.as_raw_fd(), c"", words.rest(0), libc::AT_EMPTY_PATH)
}

/// Starts the dynamic loader and lets it load PATH, so that the kernel sees only the loader executed.
pub(crate) fn ldso_exec(words: &Words) -> Outcome {
    let loader = loader_of(words.word(0, "PATH")?).unwrap_or_else(|| DEFAULT_LOADER.to_owned());
    let argv: Vec<_> = std::iter::once(&loader).chain(words.rest(0)).cloned().collect();
    execve(&loader, &argv)
}

/// Becomes `argv[0]`, found in $PATH when it has no slash.
pub(crate) fn become_command(argv: &[CString]) -> Outcome {
    let Some(program) = argv.first() else {
        return Err(Refusal::Usage("CMD is missing".to_owned()));
    };
    if program.as_bytes().contains(&b'/') {
        return become_path(argv);
    }
    let search = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned());
    let mut refusal = Errno::NOENT;
    for directory in search.split(':') {
        let candidate = [directory.as_bytes(), b"/", program.as_bytes()].concat();
        let Ok(candidate) = CString::new(candidate) else { continue };
        match execve(&candidate, argv) {
            Err(Refusal::Kernel(Errno::NOENT)) => {}
            Err(Refusal::Kernel(errno)) => refusal = errno,
            other => return other,
        }
    }
    Err(refusal.into())
}

fn become_path(argv: &[CString]) -> Outcome {
    let path = argv.first().ok_or_else(|| Refusal::Usage("PATH is missing".to_owned()))?;
    execve(path, argv)
}

/// The interpreter that an ELF file asks for.
fn loader_of(path: &CStr) -> Option<CString> {
    const PT_INTERP: u32 = 3;
    let mut content = Vec::new();
    let file = fs::open(path, OFlags::RDONLY, Mode::empty()).ok()?;
    File::from(file).read_to_end(&mut content).ok()?;
    let word = |at: usize, size: usize| -> Option<usize> {
        let bytes = content.get(at..at.checked_add(size)?)?;
        Some(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    };
    if content.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let (table, entry_size, entries) = (word(32, 8)?, word(54, 2)?, word(56, 2)?);
    for entry in 0..entries {
        let header = table.checked_add(entry * entry_size)?;
        if word(header, 4)? == PT_INTERP as usize {
            let (offset, size) = (word(header + 8, 8)?, word(header + 32, 8)?);
            let text = content.get(offset..offset.checked_add(size)?)?;
            return CStr::from_bytes_until_nul(text).ok().map(CStr::to_owned);
        }
    }
    None
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
}

fn environment() -> Vec<CString> {
    use std::os::unix::ffi::OsStrExt;
    std::env::vars_os()
        .filter_map(|(key, value)| {
            CString::new([key.as_bytes(), b"=", value.as_bytes()].concat()).ok()
        })
        .collect()
}

fn execve(path: &CStr, argv: &[CString]) -> Outcome {
    let environment = environment();
    let (argv, environment) = (pointers(argv), pointers(&environment));
    // SAFETY: both arrays end in a null pointer and point to strings that outlive the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), environment.as_ptr()) };
    Err(Errno::last().into())
}

fn execveat_call(directory: RawFd, path: &CStr, argv: &[CString], flags: i32) -> Outcome {
    let environment = environment();
    let (argv, environment) = (pointers(argv), pointers(&environment));
    // SAFETY: both arrays end in a null pointer and point to strings that outlive the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            directory,
            path.as_ptr(),
            argv.as_ptr(),
            environment.as_ptr(),
            flags,
        )
    };
    Err(Errno::last().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_loader_of_a_dynamic_program() {
        let Some(loader) = loader_of(c"/usr/bin/env") else { return }; // A static one has none.
        assert!(loader.to_string_lossy().starts_with('/'));
    }

    #[test]
    fn a_text_has_no_loader() {
        assert_eq!(loader_of(c"/etc/passwd"), None);
    }
}
