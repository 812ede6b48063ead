//! What the policies that select one workload mean for it: [`RuleSet`], and [`decide`] as the law's executable form.
//!
//! This crate owns selection, tiers and specificity. It reads no file and asks no kernel: what it needs to know of
//! a container's symbolic links arrives as [`Links`].
#![forbid(unsafe_code)]

mod build;
mod cover;
mod decide;
mod glob;
mod model;
mod precedence;
mod select;

pub use build::{WantedLinks, build, wanted_links};
pub use cover::{matches, split_applet};
pub use decide::decide;
pub use glob::{CharacterClass, Glob, GlobError, Token, literal_prefix};
pub use model::*;
pub use precedence::{Precedence, precedence};
pub use select::{CONTAINER_NAMESPACE, select};
