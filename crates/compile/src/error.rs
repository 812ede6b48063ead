//! Why a rule set has no image.

use ruleset::{GlobError, Origin};

use crate::limits::Effort;

/// Every variant but [`CompileError::TooManyStates`] names the rule, or the object, that would have to change.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    #[error("{origin}: the pattern `{pattern}` cannot be read")]
    Pattern {
        origin: String,
        pattern: String,
        #[source]
        source: GlobError,
    },
    #[error(
        "the rules need more than {limit} {what}; the largest part is due to {culprit}: \
         name fewer paths, or use fewer `**`, `*` and `{{...}}` in one pattern"
    )]
    TooLarge { limit: usize, what: &'static str, culprit: String, effort: Effort },
    /// Of rules that are looked at together, whether or not they fit into one image: none of them alone is the cause.
    #[error(
        "more than {limit} states are needed to tell the paths of these rules apart: \
         look at fewer policies at once, or use fewer `**` and `*` in one pattern"
    )]
    TooManyStates { limit: usize },
    #[error(
        "{origin}: its allowedArgs and those of other rules on one program make more than {limit} \
         different choices of arguments; list fewer"
    )]
    TooManyArgumentChoices { origin: String, limit: usize },
    #[error(
        "{origin}: with its allowedArgs the workload has more than {limit} different arguments; \
         list fewer"
    )]
    TooManyArguments { origin: String, limit: usize },
    #[error(
        "{count} steps are needed to decide between rules that concern one object, {limit} fit; \
         merge rules that differ in allowedArgs, such as {first} and {second}"
    )]
    PlanTooLong { count: usize, limit: usize, first: String, second: String },
    #[error("{origin}: capability number {number} is beyond what the kernel image can hold")]
    Capability { origin: String, number: u8 },
}

impl CompileError {
    pub(crate) fn pattern(origin: &Origin, pattern: &str, source: GlobError) -> Self {
        Self::Pattern { origin: origin.to_string(), pattern: pattern.to_owned(), source }
    }
}
