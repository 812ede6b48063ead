//! Opening a file through `io_uring`, spoken to without a library: one ring, one request, one answer.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::{
    errno::Errno,
    file_open::read_a_byte,
    words::{Outcome, Words},
};

const OPENAT: u8 = 18;
const ENTER_GETEVENTS: u32 = 1;
const OFFSET_SQ_RING: i64 = 0;
const OFFSET_CQ_RING: i64 = 0x800_0000;
const OFFSET_SQES: i64 = 0x1000_0000;

/// `struct io_sqring_offsets`.
#[repr(C)]
#[derive(Default)]
struct SubmissionOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    flags: u32,
    dropped: u32,
    array: u32,
    reserved: u32,
    user_addr: u64,
}

/// `struct io_cqring_offsets`.
#[repr(C)]
#[derive(Default)]
struct CompletionOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    overflow: u32,
    cqes: u32,
    flags: u32,
    reserved: u32,
    user_addr: u64,
}

/// `struct io_uring_params`.
#[repr(C)]
#[derive(Default)]
struct Parameters {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    sq_thread_cpu: u32,
    sq_thread_idle: u32,
    features: u32,
    wq_fd: u32,
    reserved: [u32; 3],
    sq: SubmissionOffsets,
    cq: CompletionOffsets,
}

/// `struct io_uring_sqe`, as `IORING_OP_OPENAT` fills it.
#[repr(C)]
#[derive(Default)]
struct Submission {
    opcode: u8,
    flags: u8,
    priority: u16,
    directory: i32,
    offset: u64,
    path: u64,
    mode: u32,
    open_flags: u32,
    user_data: u64,
    rest: [u64; 3],
}

/// `struct io_uring_cqe`.
#[repr(C)]
struct Completion {
    user_data: u64,
    result: i32,
    flags: u32,
}

pub(crate) fn open(words: &Words) -> Outcome {
    let path = words.word(0, "PATH")?;
    let mut parameters = Parameters::default();
    // SAFETY: the kernel fills `parameters`, whose layout is its own.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, &raw mut parameters) };
    let ring = i32::try_from(ring).map_err(|_| Errno::INVAL)?;
    if ring < 0 {
        return Err(Errno::last().into());
    }
    // SAFETY: the kernel just gave this descriptor to us alone.
    let ring = unsafe { OwnedFd::from_raw_fd(ring) };

    let Parameters { sq_entries, cq_entries, sq, cq, .. } = &parameters;
    let completion_size = u32::try_from(size_of::<Completion>()).map_err(|_| Errno::INVAL)?;
    let submissions = map(&ring, OFFSET_SQ_RING, sq.array + sq_entries * 4)?;
    let completions = map(&ring, OFFSET_CQ_RING, cq.cqes + cq_entries * completion_size)?;
    let entries = map(&ring, OFFSET_SQES, 64 * sq_entries)?.cast::<Submission>();

    let request = Submission {
        opcode: OPENAT,
        directory: libc::AT_FDCWD,
        path: path.as_ptr() as u64,
        open_flags: libc::O_RDONLY.cast_unsigned(),
        ..Submission::default()
    };
    // SAFETY: entry 0 of the three shared arrays exists, since one entry was asked for; all offsets are the kernel's.
    // Nobody else touches the ring, and io_uring_enter(2) orders our stores before the kernel's reads and back.
    let result = unsafe {
        entries.write(request);
        submissions.byte_add(sq.array as usize).cast::<u32>().write_volatile(0);
        submissions.byte_add(sq.tail as usize).cast::<u32>().write_volatile(1);
        let done = libc::syscall(
            libc::SYS_io_uring_enter,
            ring.as_raw_fd(),
            1,
            1,
            ENTER_GETEVENTS,
            std::ptr::null::<u8>(),
            0,
        );
        if done < 0 {
            return Err(Errno::last().into());
        }
        completions.byte_add(cq.cqes as usize).cast::<Completion>().read_volatile().result
    };
    if result < 0 {
        return Err(Errno(-result).into());
    }
    // SAFETY: a result that is no error is a descriptor, and it is ours.
    read_a_byte(&unsafe { OwnedFd::from_raw_fd(result) })
}

/// Maps one of the ring's areas; it lives as long as the process.
fn map(ring: &OwnedFd, offset: i64, length: u32) -> Result<*mut libc::c_void, Errno> {
    // SAFETY: a new shared mapping at an address of the kernel's choice.
    let area = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_POPULATE,
            ring.as_raw_fd(),
            offset,
        )
    };
    if area == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(area) }
}
