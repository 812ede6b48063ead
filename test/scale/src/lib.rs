//! Policies and workloads of a large node, as applications write them.
#![forbid(unsafe_code)]

pub mod node;
pub mod rules;
