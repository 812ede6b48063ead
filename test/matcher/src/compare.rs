//! One law, three readings: the oracle, the interpreter of images, and the C matcher must give one answer.

use std::fmt;

use compile::CompileError;
use ruleset::{Decision, RuleSet};

use crate::generate::OwnedAccess;

/// Where two readings differ.
#[derive(Clone, Debug)]
pub struct Disagreement {
    pub set: RuleSet,
    pub access: OwnedAccess,
    pub law: Decision,
    pub other: Decision,
    /// Which reading is not that of the law.
    pub reading: &'static str,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { set, access, law, other, reading } = self;
        writeln!(f, "{access:?}")?;
        writeln!(f, "  by the law: {law:?}")?;
        writeln!(f, "  {reading}: {other:?}")?;
        write!(f, "  under {set:#?}")
    }
}

/// What came of comparing.
#[derive(Debug)]
pub enum Outcome {
    Agreed,
    /// The rules have too many conditions at one place to be compiled; the agent would refuse them too.
    Refused(CompileError),
    Disagreed(Box<Disagreement>),
}

/// Compares the readings of a rule set for each of the accesses.
pub fn compare(set: &RuleSet, accesses: &[OwnedAccess]) -> Outcome {
    let image = match compile::compile(set) {
        Ok(image) => image,
        Err(error) => return Outcome::Refused(error),
    };
    for owned in accesses {
        let (law, others) = owned.with(|access| {
            let others = [
                ("the interpreter", compile::interpret(&image.words, access)),
                ("the C matcher", crate::decide(&image, access)),
            ];
            (ruleset::decide(set, access), others)
        });
        if let Some((reading, other)) = others.into_iter().find(|(_, other)| *other != law) {
            let (set, access) = (set.clone(), owned.clone());
            return Outcome::Disagreed(Box::new(Disagreement { set, access, law, other, reading }));
        }
    }
    Outcome::Agreed
}
