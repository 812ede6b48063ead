//! The policy language: YAML or JSON in, a validated [`Policy`] or diagnostics with line and column out.
//!
//! This crate owns what a policy *says*. Whom it concerns and what it decides is `ruleset`'s business.
#![forbid(unsafe_code)]

mod model;

pub use model::*;
