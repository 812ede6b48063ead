//! Operations that change a file or its name without reading it.

use rustix::fs::{self, AtFlags, CWD, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid};

use crate::{
    errno::Errno,
    words::{Outcome, Words},
};

/// Nobody in particular: the one whom `chown` gives the file to.
const NOBODY: u32 = 65534;

pub(crate) fn truncate(words: &Words) -> Outcome {
    let path = words.word(0, "PATH")?;
    // SAFETY: `path` ends in NUL and outlives the call.
    if unsafe { libc::truncate(path.as_ptr(), 0) } != 0 {
        return Err(Errno::last().into());
    }
    Ok(())
}

pub(crate) fn ftruncate(words: &Words) -> Outcome {
    let file = fs::open(words.word(0, "PATH")?, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(fs::ftruncate(file, 0)?)
}

pub(crate) fn unlink(words: &Words) -> Outcome {
    Ok(fs::unlink(words.word(0, "PATH")?)?)
}

pub(crate) fn rename(words: &Words) -> Outcome {
    Ok(fs::rename(words.word(0, "OLD")?, words.word(1, "NEW")?)?)
}

pub(crate) fn exchange(words: &Words) -> Outcome {
    let (old, new) = (words.word(0, "OLD")?, words.word(1, "NEW")?);
    Ok(fs::renameat_with(CWD, old, CWD, new, RenameFlags::EXCHANGE)?)
}

pub(crate) fn link(words: &Words) -> Outcome {
    Ok(fs::link(words.word(0, "OLD")?, words.word(1, "NEW")?)?)
}

pub(crate) fn symlink(words: &Words) -> Outcome {
    Ok(fs::symlink(words.word(0, "OLD")?, words.word(1, "NEW")?)?)
}

pub(crate) fn mknod(words: &Words) -> Outcome {
    let path = words.word(0, "PATH")?;
    Ok(fs::mknodat(CWD, path, fs::FileType::Fifo, Mode::from_raw_mode(0o644), 0)?)
}

pub(crate) fn chmod(words: &Words) -> Outcome {
    Ok(fs::chmod(words.word(0, "PATH")?, Mode::from_raw_mode(0o600))?)
}

pub(crate) fn chown(words: &Words) -> Outcome {
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    Ok(fs::chown(words.word(0, "PATH")?, Some(uid), Some(gid))?)
}

pub(crate) fn setxattr(words: &Words) -> Outcome {
    let path = words.word(0, "PATH")?;
    Ok(fs::setxattr(path, "user.probe", b"1", fs::XattrFlags::empty())?)
}

pub(crate) fn utimes(words: &Words) -> Outcome {
    let then = Timespec { tv_sec: 1_000_000_000, tv_nsec: 0 };
    let times = Timestamps { last_access: then, last_modification: then };
    Ok(fs::utimensat(CWD, words.word(0, "PATH")?, &times, AtFlags::empty())?)
}

/// Through a descriptor that is open for reading, which is all that the call asks for.
pub(crate) fn setflags(words: &Words) -> Outcome {
    let file = fs::open(words.word(0, "PATH")?, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = fs::ioctl_getflags(&file)?;
    Ok(fs::ioctl_setflags(&file, flags ^ fs::IFlags::NODUMP)?)
}

/// `file_setattr(2)` of Linux 6.17: the same without a descriptor.
pub(crate) fn file_setattr(words: &Words) -> Outcome {
    const FILE_SETATTR: libc::c_long = 469;
    const XFLAG_NODUMP: u64 = 0x80;
    /// `struct file_attr`: flags, then sizes and a project, which stay.
    const WORDS: usize = 3;
    let path = words.word(0, "PATH")?;
    let attributes = [XFLAG_NODUMP, 0, 0];
    // SAFETY: `path` ends in NUL, and the attributes are as long as the call is told.
    let answer = unsafe {
        libc::syscall(
            FILE_SETATTR,
            libc::AT_FDCWD,
            path.as_ptr(),
            attributes.as_ptr(),
            WORDS * size_of::<u64>(),
            0,
        )
    };
    if answer == 0 { Ok(()) } else { Err(Errno::last().into()) }
}
