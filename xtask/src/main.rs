//! The project's own tasks: `cargo xtask --help`.
#![forbid(unsafe_code)]

fn main() {}
