//! What the policies that select one workload mean for it: [`RuleSet`], and [`decide`] as the law's executable form.
//!
//! This crate owns selection, tiers and specificity. It reads no file and asks no kernel: what it needs to know of
//! a container's symbolic links arrives as [`Links`].
#![forbid(unsafe_code)]

mod model;

pub use model::*;
