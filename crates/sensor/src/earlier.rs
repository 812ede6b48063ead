//! What an earlier run of the agent left in the kernel: alerts that nobody has read, and what it takes to understand
//! them.

use std::{
    fmt,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use libbpf_rs::{MapCore as _, MapFlags, MapHandle};
use rustix::{
    process::{Pid, PidfdFlags, pidfd_open},
    thread::{MembarrierCommand, membarrier},
};

use crate::{
    arena::{self, ARENA_WORDS},
    pins::{self, PinError},
    rings::{Ring, Then, show_all},
    seal::Seal,
    shared::{Mapping, SLOTS, Settings, Slot},
};

/// The maps of a run that the next one may need, as they are called in the programs and below `maps` in its folder.
pub(crate) const LEFT: [&str; 7] =
    ["alerts", "programs", "labels", "cgroups", "arena", "slots", "settings"];

/// Where in `struct label` the program's id is.
pub(crate) const LABEL_EXEC: usize = 16;
/// Ids of programs that ran before ours were attached have this bit.
const BEFORE_OUR_TIME: u64 = 1 << 63;

/// Why what an earlier run left cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EarlierError {
    #[error("its map `{map}` is not there")]
    NoMap {
        map: &'static str,
        #[source]
        source: libbpf_rs::Error,
    },
    #[error("its map `{0}` has another layout: it is of another version")]
    Layout(&'static str),
    #[error("its map `{map}` cannot be read")]
    Unreadable {
        map: &'static str,
        #[source]
        source: libbpf_rs::Error,
    },
}

/// A slot, and which of its lives.
pub type Life = (u32, u32);

/// An earlier run whose links are gone, so that its programs act no more or soon will not.
pub struct Earlier {
    folder: PathBuf,
    alerts: MapHandle,
    programs: MapHandle,
    labels: MapHandle,
    our_labels: MapHandle,
    cgroups: MapHandle,
    arena: Mapping,
    slots: Mapping,
    settings: Mapping,
}

impl fmt::Debug for Earlier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Earlier").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Earlier {
    /// Opens what a run has pinned. `our_labels` are the labels of the programs that are in force now.
    pub(crate) fn open(folder: &Path, our_labels: &MapHandle) -> Result<Self, EarlierError> {
        let map = |map: &'static str| {
            MapHandle::from_pinned_path(folder.join("maps").join(map))
                .map_err(|source| EarlierError::NoMap { map, source })
        };
        let mapping = |name: &'static str, bytes: usize| {
            let map = map(name)?;
            if map.value_size() as usize != bytes {
                return Err(EarlierError::Layout(name));
            }
            Mapping::new(&map, bytes).map_err(|error| EarlierError::Unreadable {
                map: name,
                source: std::io::Error::from(error).into(),
            })
        };
        let unreadable = |source| EarlierError::Unreadable { map: "labels", source };
        let earlier = Self {
            alerts: map("alerts")?,
            programs: map("programs")?,
            labels: map("labels")?,
            our_labels: MapHandle::try_from(our_labels).map_err(unreadable)?,
            cgroups: map("cgroups")?,
            arena: mapping("arena", ARENA_WORDS as usize * 4)?,
            slots: mapping("slots", SLOTS as usize * size_of::<Slot>())?,
            settings: mapping("settings", size_of::<Settings>())?,
            folder: folder.to_owned(),
        };
        if earlier.labels.value_size() != our_labels.value_size() {
            return Err(EarlierError::Layout("labels"));
        }
        if (earlier.cgroups.key_size(), earlier.cgroups.value_size()) != (8, 8) {
            return Err(EarlierError::Layout("cgroups"));
        }
        Ok(earlier)
    }

    /// The name of the run.
    pub fn name(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Waits until none of its programs can report anything any more: they are detached already, and one that was running
    /// then has ended after a grace period of the kernel's RCU.
    pub fn wait_until_over(&self) {
        let _ = membarrier(MembarrierCommand::Global);
    }

    /// Which control groups it knew, by slot and generation.
    pub fn places(&self) -> Result<Vec<(Life, u64)>, EarlierError> {
        let unreadable = |source| EarlierError::Unreadable { map: "cgroups", source };
        let mut places = Vec::new();
        for key in self.cgroups.keys() {
            let value = self.cgroups.lookup(&key, MapFlags::ANY).map_err(unreadable)?;
            let id = key.try_into().map(u64::from_ne_bytes);
            if let (Ok(id), Some(life)) = (id, value.as_deref().and_then(life)) {
                places.push((life, id));
            }
        }
        Ok(places)
    }

    /// The slot of the host, if it was governed.
    pub fn host(&self) -> Option<Life> {
        let settings = self.settings.settings();
        let slot = settings.host_slot.load(Ordering::Acquire);
        (slot != 0).then(|| (slot, settings.host_generation.load(Ordering::Acquire)))
    }

    /// Whether a slot was judged by the image of this number at the end, and that is the image of this seal.
    pub fn judged_by(&self, slot: u32, number: u32, seal: &Seal) -> bool {
        let (base, last) = self.slots.slots()[slot as usize % SLOTS as usize].image();
        last == number && arena::holds(&self.arena, base, seal)
    }

    /// Alerts that found the ring full and that are in nobody's accounts.
    pub fn found_the_ring_full(&self) -> u64 {
        let of_slots =
            self.slots.slots().iter().map(|slot| slot.lost_alerts.load(Ordering::Relaxed));
        let lost =
            of_slots.fold(self.settings.settings().counters().lost_alerts, u64::wrapping_add);
        lost.saturating_sub(arena::accounted(&self.arena))
    }

    /// Whether the process still is what an alert calls it by: it has become no other program since, neither before our
    /// programs were attached, as its old label tells, nor after, as the new one does.
    pub fn still_runs(&self, host_pid: u32, exec: u64) -> bool {
        let program = |labels: &MapHandle| {
            let pid = Pid::from_raw(i32::try_from(host_pid).ok()?)?;
            let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
            let key = process.as_raw_fd().to_ne_bytes();
            let label = labels.lookup(&key, MapFlags::ANY).ok()??;
            let id = label.get(LABEL_EXEC..LABEL_EXEC + 8)?;
            id.try_into().ok().map(u64::from_ne_bytes)
        };
        program(&self.labels) == Some(exec)
            && program(&self.our_labels).is_some_and(|ours| ours & BEFORE_OUR_TIME != 0)
    }

    /// Shows what nobody has read, some at a time: the programs that were started first, then the alerts. What was shown
    /// is shown to nobody again.
    pub fn read(
        &self,
        sink: &mut impl FnMut(Ring, &[u8]) -> Then,
    ) -> Result<Then, libbpf_rs::Error> {
        for (ring, map) in [(Ring::Programs, &self.programs), (Ring::Alerts, &self.alerts)] {
            if show_all(ring, map, sink)? == Then::End {
                return Ok(Then::End);
            }
        }
        Ok(Then::Next)
    }

    /// Gives back what it holds of the kernel's memory.
    pub fn forget(self) -> Result<(), PinError> {
        pins::forget(&self.folder)
    }
}

/// `struct place`
fn life(bytes: &[u8]) -> Option<Life> {
    let (slot, generation) = bytes.split_at_checked(4)?;
    let word = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_ne_bytes);
    Some((word(slot)?, word(generation)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        assert_eq!(life(&[7_u32.to_ne_bytes(), 9_u32.to_ne_bytes()].concat()), Some((7, 9)));
        assert_eq!(life(&[0; 3]), None);
    }
}
