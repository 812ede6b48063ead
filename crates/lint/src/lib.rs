//! What is wrong, or not what it seems, in a collection of policy files.
//!
//! This crate owns what only shows when documents are read together or by their meaning: rules that never decide,
//! rules that contradict each other, rules that turn a class into an allow-list, policies of one name. What one document
//! shows by itself is `policy`'s business; here its warnings become errors. It is a room of its own since it needs the
//! texts of `policy`, the selection and law of `ruleset` and the automata of `compile`, and none of them needs it.
//!
//! It reads no file: whoever calls [`lint`] hands it texts and prints the [`Report`].
#![forbid(unsafe_code)]

mod accesses;
mod code;
mod collection;
mod expression;
mod finding;
mod json;
mod meeting;
mod posture;
mod rivals;
mod sample;
mod sarif;
mod shadow;
mod words;

pub use code::{CODES, Code};
pub use finding::{Finding, Level, Report, Skipped};
use ruleset::EnforcerKind;

use crate::{collection::Collection, finding::Findings};

/// One text and what findings call it.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    pub text: String,
    /// It was asked for by name, so that it is an error if it holds no policy.
    pub named: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Rules that this enforcer cannot express are findings.
    pub enforcer: Option<EnforcerKind>,
}

/// Reads all texts and looks at every policy alone and among the others.
pub fn lint(sources: &[Source], options: &Options) -> Report {
    let mut findings = Findings::default();
    let collection = Collection::read(sources, &mut findings);
    for entry in collection.entries() {
        posture::check(entry, collection.entries(), &mut findings);
        if let Some(enforcer) = options.enforcer {
            expression::check(entry, enforcer, &mut findings);
        }
    }
    let shadowed = shadow::check(&collection, &mut findings);
    rivals::check(&collection, &shadowed, &mut findings);
    findings.into_report(sources.len(), collection)
}
