//! From a rule set to what an enforcer loads; today the kernel image of the BPF programs.
//!
//! The image's layout is `bpf/include/image.h`; [`layout`] repeats its numbers for Rust and a test compares the two.
#![forbid(unsafe_code)]

pub mod layout;
