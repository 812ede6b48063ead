//! The kernel programs, as user space sees them: probe, load, attach, pin, write images, read rings.
//!
//! The only crate that knows libbpf, and the only one of the product with `unsafe` code: mappings of the arena and
//! the slots that the programs read while we write.

mod aliases;
mod arena;
mod cgroups;
mod demand;
mod load;
mod observers;
mod own;
mod pins;
mod probe;
mod programs;
mod rings;
mod shared;
mod signatures;

pub use aliases::{ALIAS_ROWS, Alias};
pub use arena::{ARENA_WORDS, ArenaFull, Region};
pub use demand::Demand;
pub use load::{Held, LoadError, Loaded, Options, Sensor};
pub use pins::{ABI, PinError, PinnedRuns, detach_all};
pub use probe::{Capabilities, Capability, probe};
pub use rings::{Reader, Ring, Then};
pub use shared::{CallNumbers, Counters, SLOTS};

mod objects {
    use crate::programs::Compiled;

    include!(concat!(env!("OUT_DIR"), "/objects.rs"));
}
