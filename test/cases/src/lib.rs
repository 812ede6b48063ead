//! Behaviour cases: their format, and the runner that executes them inside a virtual machine.
//!
//! A case is one YAML file that says which containers there are, which policies hold, what is done and what must be
//! seen. [`format`] reads it, [`matcher`] compares, [`runner`] does.

pub mod format;
pub mod matcher;
pub mod pending;
pub mod requirement;
pub mod runner;
