//! From a rule set to what an enforcer loads; today the kernel image of the BPF programs.
//!
//! The image's layout is `bpf/include/image.h`; [`layout`] repeats its numbers for Rust and a test compares the two.
//!
//! [`compile`] goes through four stages: `names` gathers what rules name, `trie` and `nfa` hold it in two forms,
//! `subset` and `minimize` make one automaton of it (`settled` keeps out what cannot matter), `plan` orders the rules of each path class into steps,
//! `futures` finds what a rename would undo. `image`
//! writes the words, `rows` those of the automaton, with `tables` of names (`name_hash`) where rules name everything letter by letter. [`limits`] keeps all of them short, and `blame` finds the rule that passed one. [`interpret`] reads
//! them back as the kernel does. [`path_classes`] and [`argument_choices`] walk the automata of rule sets for those who ask what rules have in
//! common.
#![forbid(unsafe_code)]

mod arguments;
mod blame;
mod bytes;
mod diff;
mod error;
mod futures;
mod image;
mod interpret;
mod language;
pub mod layout;
pub mod limits;
mod minimize;
mod moves;
mod name_hash;
mod names;
mod nfa;
mod partition;
mod plan;
mod rows;
mod settled;
mod socket;
mod subset;
mod tables;
mod trie;

pub use arguments::argument_choices;
pub use diff::{Difference, diff};
pub use error::CompileError;
pub use image::{Image, compile};
pub use interpret::{interpret, interpret_move};
pub use language::{Detail, PathClass, path_classes};
pub use socket::{socket_class, socket_witnesses};
