//! From a rule set to what an enforcer loads; today the kernel image of the BPF programs.
//!
//! The image's layout is `bpf/include/image.h`; [`layout`] repeats its numbers for Rust and a test compares the two.
//!
//! [`compile`] goes through four stages: `names` gathers what rules name, `trie` and `nfa` hold it in two forms,
//! `subset` and `minimize` make one automaton of it (`settled` keeps out what cannot matter), `plan` orders the rules of each path class into steps. `image`
//! writes the words. [`interpret`] reads them back as the kernel does.
#![forbid(unsafe_code)]

mod bytes;
mod error;
mod image;
mod interpret;
pub mod layout;
mod minimize;
mod names;
mod nfa;
mod plan;
mod settled;
mod socket;
mod subset;
mod trie;

pub use error::CompileError;
pub use image::{Image, compile};
pub use interpret::interpret;
pub use socket::socket_class;
