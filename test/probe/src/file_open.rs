//! Every way to open a file, except `io_uring`, which has a room of its own.

use std::{
    ffi::CStr,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::fs::{self, CWD, Mode, OFlags, ResolveFlags};

use crate::{
    errno::Errno,
    words::{Outcome, Refusal, Words},
};

pub(crate) fn open(words: &Words) -> Outcome {
    read_a_byte(&fs::open(words.word(0, "PATH")?, OFlags::RDONLY, Mode::empty())?)
}

pub(crate) fn openat2(words: &Words) -> Outcome {
    let path = words.word(0, "PATH")?;
    read_a_byte(&fs::openat2(CWD, path, OFlags::RDONLY, Mode::empty(), ResolveFlags::empty())?)
}

pub(crate) fn creat(words: &Words) -> Outcome {
    let path = words.word(0, "PATH")?;
    // SAFETY: creat(2) reads a path that ends in NUL and outlives the call; the descriptor dies with the process.
    if unsafe { libc::syscall(libc::SYS_creat, path.as_ptr(), 0o644) } < 0 {
        return Err(Errno::last().into());
    }
    Ok(())
}

pub(crate) fn write(words: &Words) -> Outcome {
    write_a_byte(words, OFlags::WRONLY)
}

pub(crate) fn append(words: &Words) -> Outcome {
    write_a_byte(words, OFlags::WRONLY | OFlags::APPEND)
}

fn write_a_byte(words: &Words, flags: OFlags) -> Outcome {
    let file = fs::open(words.word(0, "PATH")?, flags, Mode::empty())?;
    rustix::io::write(&file, b"x")?;
    Ok(())
}

pub(crate) fn mmap_write(words: &Words) -> Outcome {
    let file = fs::open(words.word(0, "PATH")?, OFlags::RDWR, Mode::empty())?;
    if fs::fstat(&file)?.st_size == 0 {
        fs::ftruncate(&file, 1)?; // A store beyond the end of the file would be a SIGBUS.
    }
    // SAFETY: a new mapping at an address of the kernel's choice; the store stays within its single page, which the
    // file backs, and nothing else knows of it.
    unsafe {
        let page = libc::mmap(
            std::ptr::null_mut(),
            1,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            std::os::fd::AsRawFd::as_raw_fd(&file),
            0,
        );
        if page == libc::MAP_FAILED {
            return Err(Errno::last().into());
        }
        page.cast::<u8>().write_volatile(b'x');
    }
    Ok(())
}

/// Opens, closes and goes on after an error, as a process that does not give up.
pub(crate) fn in_a_loop(words: &Words) -> Outcome {
    let (path, count) = (words.word(0, "PATH")?, words.number::<u64>(1, "COUNT")?);
    let (mut opened, mut refused, mut last) = (0_u64, 0_u64, None);
    for _ in 0..count {
        match fs::open(path, OFlags::RDONLY, Mode::empty()) {
            Ok(_) => opened += 1,
            Err(errno) => {
                refused += 1;
                last = Some(errno);
            }
        }
    }
    println!("opened={opened} refused={refused}");
    last.map_or(Ok(()), |errno| Err(errno.into()))
}

/// Opens and closes until it is refused, for so many seconds at most, and tells how long that took.
pub(crate) fn until_refused(words: &Words) -> Outcome {
    let begin = Instant::now();
    let (path, limit) = (words.word(0, "PATH")?, words.number(1, "SECONDS")?);
    let mut opened = 0_u64;
    let refusal = loop {
        match fs::open(path, OFlags::RDONLY, Mode::empty()) {
            Err(errno) => break Some(errno),
            Ok(_) if begin.elapsed() > Duration::from_secs(limit) => break None,
            Ok(_) => opened += 1,
        }
    };
    println!("opened={opened} microseconds={}", begin.elapsed().as_micros());
    refusal.map_or(Ok(()), |errno| Err(errno.into()))
}

/// `open_by_handle_at(2)`. Needs `CAP_DAC_READ_SEARCH` and a file system that gives handles.
pub(crate) fn by_handle(words: &Words) -> Outcome {
    let path = words.word(0, "PATH")?;
    let mut handle = Handle { bytes: MAX_HANDLE, kind: 0, data: [0; MAX_HANDLE as usize] };
    let mut mount_id: libc::c_int = 0;
    // SAFETY: the handle has room for the number of bytes that it states, the path ends in NUL.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            path.as_ptr(),
            &raw mut handle,
            &raw mut mount_id,
            0,
        )
    };
    if answer < 0 {
        return Err(Errno::last().into());
    }
    let mount = directory_of_the_same_mount(path)?;
    // SAFETY: `mount` is open, the handle was filled by the kernel just now.
    let descriptor = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            std::os::fd::AsRawFd::as_raw_fd(&mount),
            &raw mut handle,
            libc::O_RDONLY,
        )
    };
    let descriptor = i32::try_from(descriptor).map_err(|_| Errno::INVAL)?;
    if descriptor < 0 {
        return Err(Errno::last().into());
    }
    // SAFETY: the kernel just gave this descriptor to us and to nobody else.
    read_a_byte(&unsafe { std::os::fd::FromRawFd::from_raw_fd(descriptor) })
}

const MAX_HANDLE: u32 = 128;

/// `struct file_handle` with room for the longest handle.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    data: [u8; MAX_HANDLE as usize],
}

/// The topmost directory above `path` on the same device: a rule about the directories in between must not decide.
fn directory_of_the_same_mount(path: &CStr) -> Result<OwnedFd, Refusal> {
    let path = std::fs::canonicalize(std::path::Path::new(
        path.to_str().map_err(|_| Refusal::Usage("PATH is not UTF-8".to_owned()))?,
    ))?;
    let device = fs::stat(&path)?.st_dev;
    let top = path
        .ancestors()
        .skip(1)
        .take_while(|above| fs::stat(*above).is_ok_and(|stat| stat.st_dev == device))
        .last()
        .ok_or(Errno::INVAL)?;
    Ok(fs::open(top, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?)
}

/// An empty file and a directory count as read: what was asked is whether they may be opened.
pub(crate) fn read_a_byte(file: &OwnedFd) -> Outcome {
    match rustix::io::read(file, &mut [0_u8; 1]) {
        Ok(_) | Err(rustix::io::Errno::ISDIR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
