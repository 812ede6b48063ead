//! Memory that user space and the kernel programs share: `bpf/include/state.h` declares the same layouts.
#![expect(unsafe_code, reason = "mappings of kernel memory have no safe wrapper")]

use std::{
    fmt,
    os::fd::AsFd,
    ptr::NonNull,
    sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering},
};

use libbpf_rs::{MapCore as _, MapHandle};
use rustix::{
    io,
    mm::{MapFlags, ProtFlags, mmap, munmap},
};

#[cfg(test)]
mod tests;

/// `SLOTS`: workloads at a time. Slot 0 is never given out.
pub const SLOTS: u32 = 1 << 14;

/// `struct slot`
#[repr(C)]
pub(crate) struct Slot {
    image: AtomicU64,
    generation: AtomicU32,
    entered: AtomicU16,
    visible: AtomicU16,
    /// Filled by the programs, as is `mounted`.
    mounts: AtomicU64,
    mounted: AtomicU32,
    reserved: AtomicU32,
    /// Never reset, nor is one of the following.
    alerts: AtomicU64,
    pub(crate) lost_alerts: AtomicU64,
    pub(crate) read_alerts: AtomicU64,
    pub(crate) lost_logs: AtomicU64,
}

/// `struct settings`
#[repr(C)]
pub(crate) struct Settings {
    pub(crate) next_exec: AtomicU64,
    pub(crate) host_inode: AtomicU64,
    pub(crate) host_device: AtomicU32,
    pub(crate) five_levels: AtomicU32,
    pub(crate) host_slot: AtomicU32,
    pub(crate) host_generation: AtomicU32,
    pub(crate) lost_alerts: AtomicU64,
    pub(crate) lost_execs: AtomicU64,
    pub(crate) unlabelled: AtomicU64,
    pub(crate) lost_logs: AtomicU64,
    pub(crate) merge_window: AtomicU64,
    pub(crate) host_mounts: AtomicU32,
    pub(crate) looking: AtomicU32,
    pub(crate) look: AtomicU32,
    pub(crate) old_beyond: AtomicU32,
    /// Filled by the programs, as is `agent`.
    pub(crate) agent_start: AtomicU64,
    pub(crate) agent: AtomicU32,
    pub(crate) pass_unresolved: AtomicU32,
    pub(crate) legacy_groups: AtomicU32,
    pub(crate) spare: AtomicU32,
}

/// Of any architecture: where mappings may begin.
const LARGEST_PAGE: usize = 1 << 16;

/// `CALL_NUMBERS`
const CALL_NUMBERS: usize = 576;

/// `struct calls`
#[repr(C)]
pub(crate) struct Calls {
    native: [AtomicU16; CALL_NUMBERS],
    compat: [AtomicU16; CALL_NUMBERS],
}

/// How programs number system calls, and the number of each call's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallNumbers {
    pub native: Vec<(u16, u16)>,
    /// Of 32-bit programs.
    pub compat: Vec<(u16, u16)>,
}

/// What the programs count. Each number only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Alerts that found the ring full, or their workload's share of it taken.
    pub lost_alerts: u64,
    /// Reports of started programs that found the ring full.
    pub lost_programs: u64,
    /// Logs that found the ring full.
    pub lost_logs: u64,
    /// Forks that were refused because the child could not be labelled.
    pub refused_forks: u64,
}

/// A map's memory, mapped for as long as this lives.
pub(crate) struct Mapping {
    memory: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the memory belongs to the mapping, which any thread may use and drop; all shared words are atomics, and
// plain writes to the arena go through `&mut`.
unsafe impl Send for Mapping {}
// SAFETY: see above; `&Mapping` only hands out atomics.
unsafe impl Sync for Mapping {}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Of the processors that the programs are built for.
const PAGE: usize = 4096;

/// How far a ring's reader and writers are, read where the kernel keeps it.
#[derive(Debug)]
pub(crate) struct RingPositions(Mapping);

impl RingPositions {
    pub(crate) fn new(ring: &MapHandle) -> io::Result<Self> {
        // The reader's position at the beginning of the first page, the writers' at that of the second.
        Mapping::map(ring, 0, 2 * PAGE, ProtFlags::READ).map(Self)
    }

    /// Bytes that were written and not read yet.
    pub(crate) fn waiting(&self) -> u64 {
        let [consumer, producer] = [0, PAGE].map(|offset| {
            // SAFETY: both words lie in the mapping, which is two pages long, and are aligned; others change them.
            let word = unsafe { self.0.memory.byte_add(offset).cast::<AtomicU64>().as_ref() };
            word.load(Ordering::Acquire)
        });
        // The kernel's writers may have gone on meanwhile, the reader too: never below nothing.
        producer.saturating_sub(consumer)
    }
}

impl Mapping {
    /// Maps a map whose value is at least `bytes` long.
    pub(crate) fn new(map: &MapHandle, bytes: usize) -> io::Result<Self> {
        Self::at(map, 0, bytes)
    }

    /// Maps so many bytes of a map's value from byte `from` on. How many come before them, since a mapping begins with
    /// a page.
    pub(crate) fn window(map: &MapHandle, from: usize, bytes: usize) -> io::Result<(Self, usize)> {
        let before = from % LARGEST_PAGE;
        Ok((Self::at(map, from - before, before + bytes)?, before))
    }

    fn at(map: &MapHandle, from: usize, bytes: usize) -> io::Result<Self> {
        if (map.value_size() as usize) < from + bytes {
            return Err(io::Errno::INVAL);
        }
        Self::map(map, from, bytes, ProtFlags::READ | ProtFlags::WRITE)
    }

    fn map(map: &MapHandle, from: usize, bytes: usize, access: ProtFlags) -> io::Result<Self> {
        // SAFETY: a fresh mapping at an address of the kernel's choice; nothing else refers to it.
        let memory = unsafe {
            mmap(std::ptr::null_mut(), bytes, access, MapFlags::SHARED, map.as_fd(), from as u64)?
        };
        let memory = NonNull::new(memory.cast()).ok_or(io::Errno::NOMEM)?;
        Ok(Self { memory, bytes })
    }

    /// The mapped words, to be written by their one owner.
    pub(crate) fn words_mut(&mut self) -> &mut [u32] {
        // SAFETY: the mapping is `bytes` long and page aligned. Kernel programs only read regions that have been
        // published, and those are not written again until no program can read them (see `Arena`).
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr().cast(), self.bytes / 4) }
    }

    /// The mapped words, for looking at.
    pub(crate) fn words(&self) -> &[u32] {
        // SAFETY: the mapping is `bytes` long and page aligned. Kernel programs do not write to it, and this side does
        // only through `words_mut`, whose `&mut` outlives no `&`. Whoever else maps it may change words under our eyes:
        // any word is a valid value, and what is read decides nothing but whether it is what was written.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().cast(), self.bytes / 4) }
    }

    fn typed<T>(&self) -> &T {
        assert!(size_of::<T>() <= self.bytes, "a shared type larger than its map");
        // SAFETY: the mapping is page aligned and long enough, and `T` is made of atomics and plain integers that
        // nobody writes, so any bytes are a valid value.
        unsafe { self.memory.cast::<T>().as_ref() }
    }

    pub(crate) fn settings(&self) -> &Settings {
        self.typed::<Settings>()
    }

    pub(crate) fn calls(&self) -> &Calls {
        self.typed::<Calls>()
    }

    pub(crate) fn slots(&self) -> &[Slot; SLOTS as usize] {
        self.typed::<[Slot; SLOTS as usize]>()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this length and nothing borrows from it any more. There is no
        // remedy for a failure, and none is possible with these arguments.
        let _ = unsafe { munmap(self.memory.as_ptr().cast(), self.bytes) };
    }
}

impl Calls {
    /// Whether every number stands as it was written.
    pub(crate) fn are(&self, numbers: &CallNumbers) -> bool {
        [(&self.native, &numbers.native), (&self.compat, &numbers.compat)].into_iter().all(
            |(table, numbers)| {
                numbers.iter().all(|&(number, name)| {
                    let entry = table.get(usize::from(number));
                    entry.is_none_or(|entry| entry.load(Ordering::Relaxed) == name + 1)
                })
            },
        )
    }

    pub(crate) fn write(&self, numbers: &CallNumbers) {
        for (table, numbers) in [(&self.native, &numbers.native), (&self.compat, &numbers.compat)] {
            for &(number, name) in numbers {
                if let Some(entry) = table.get(usize::from(number)) {
                    // 0 is a number without a name.
                    entry.store(name + 1, Ordering::Relaxed);
                }
            }
        }
    }
}

impl Slot {
    /// The base and the number of the image.
    pub(crate) fn image(&self) -> (u32, u32) {
        let image = self.image.load(Ordering::Acquire);
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0);
        (half(image >> 32), half(image))
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Gives a slot the generation that it should have, which somebody else has taken from it.
    pub(crate) fn set_generation(&self, generation: u32) {
        self.generation.store(generation, Ordering::Release);
    }

    pub(crate) fn visible(&self) -> u16 {
        self.visible.load(Ordering::Acquire)
    }

    /// One store: a program sees the old image or the new one.
    pub(crate) fn point_at(&self, base: u32, number: u32) {
        self.image.store(u64::from(base) << 32 | u64::from(number), Ordering::Release);
    }

    /// Events of these classes are logged from here on.
    pub(crate) fn show(&self, classes: u16) {
        self.visible.store(classes, Ordering::Release);
    }

    /// A program of its tasks has been seen, or was running when its place was told.
    pub(crate) fn has_entered(&self) -> bool {
        self.entered.load(Ordering::Acquire) != 0
    }

    /// Labels of other generations are worth nothing from here on.
    pub(crate) fn begin(&self, generation: u32) {
        self.image.store(0, Ordering::Release);
        self.entered.store(0, Ordering::Release);
        self.mounts.store(0, Ordering::Release);
        self.mounted.store(0, Ordering::Release);
        self.show(0);
        self.generation.store(generation, Ordering::Release);
    }
}

impl Settings {
    pub(crate) fn counters(&self) -> Counters {
        Counters {
            lost_alerts: self.lost_alerts.load(Ordering::Relaxed),
            lost_programs: self.lost_execs.load(Ordering::Relaxed),
            lost_logs: self.lost_logs.load(Ordering::Relaxed),
            refused_forks: self.unlabelled.load(Ordering::Relaxed),
        }
    }
}
