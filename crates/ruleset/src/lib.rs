//! What the policies that select one workload mean for it: [`RuleSet`], and [`decide`] as the law's executable form.
//!
//! This crate owns selection, tiers and specificity. It reads no file and asks no kernel: what it needs to know of
//! a container's symbolic links arrives as [`Links`].
#![forbid(unsafe_code)]

mod account;
mod build;
mod calls;
mod cover;
mod decide;
mod explain;
mod flip;
mod glob;
mod model;
mod names;
mod owned;
mod precedence;
mod reach;
mod select;
mod workloads;

pub use account::{EnforcerKind, RuleAccount, Standing, account};
pub use build::{WantedLinks, build, rules_of, wanted_links};
pub use calls::unseen_paths;
pub use cover::{matches, split_applet};
pub use decide::{concerned, decide, decide_among};
pub use explain::{Considered, Explanation, Ground, Part, Silence, explain};
pub use flip::{Edit, Flip, Modifier, flip};
pub use glob::{CharacterClass, Glob, GlobError, Token, literal_prefix};
pub use model::*;
pub use owned::{OwnedAccess, OwnedObject};
pub use precedence::{Precedence, Rank, precedence};
pub use reach::{Reach, reach};
pub use select::{CONTAINER_NAMESPACE, select};
pub use workloads::{WorkloadClass, WorkloadClasses, workload_classes};
