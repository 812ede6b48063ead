//! The kernel programs, as user space sees them: probe, load, attach, pin, write images, read rings.
//!
//! The only crate that knows libbpf, and the only one of the product with `unsafe` code: mappings of the arena and
//! the slots that the programs read while we write.

mod aliases;
mod arena;
mod cgroups;
mod demand;
mod earlier;
mod load;
mod observers;
mod own;
mod pins;
mod probe;
mod programs;
mod repair;
mod rings;
mod seal;
mod settings;
mod shared;
mod signatures;
mod tallies;

pub use aliases::{ALIAS_ROWS, Alias};
pub use arena::{ARENA_WORDS, ArenaError, ArenaFull, Region};
pub use demand::Demand;
pub use earlier::{Earlier, EarlierError, Life};
pub use load::{Held, LoadError, Loaded, Options, Retired, Sensor, Standing};
pub use pins::{ABI, Detached, PinError, PinnedRuns, detach_all, pinned_programs};
pub use probe::{Capabilities, Capability, probe};
pub use repair::{Repair, RepairKind};
pub use rings::{Reader, Ring, RingUse, Then, Witness};
pub use seal::Seal;
pub use shared::{CallNumbers, Counters, SLOTS};
pub use tallies::{Lost, Tallies};

mod objects {
    use crate::programs::Compiled;

    include!(concat!(env!("OUT_DIR"), "/objects.rs"));
}
