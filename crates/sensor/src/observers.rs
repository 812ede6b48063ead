//! Programs that only look: loaded at the start, attached while events of their class are to be logged for somebody.

use libbpf_rs::Link;
use wire::Visibility;

use crate::{load::chain, programs::Programs};

/// Groups of programs that only look, and the class of events that each sees.
const OBSERVERS: [(&str, Visibility); 6] = [
    ("file", Visibility::FILE.union(Visibility::PROCESS)),
    ("network", Visibility::NETWORK),
    ("network6", Visibility::NETWORK),
    ("capabilities", Visibility::CAPABILITIES),
    ("questions", Visibility::DNS),
    ("questions6", Visibility::DNS),
];

/// Whether a group only looks.
pub(crate) fn observes(group: &str) -> bool {
    OBSERVERS.iter().any(|(name, _)| *name == group)
}

/// The links of each observer's programs, in the order of the table; empty: not attached.
#[derive(Debug, Default)]
pub(crate) struct Observers([Vec<(String, Link)>; OBSERVERS.len()]);

impl Observers {
    pub(crate) fn attached(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flatten().map(|(program, _)| program.as_str())
    }

    /// Attaches what sees one of these classes, detaches the rest; returns what could not be attached, and why.
    pub(crate) fn attach(
        &mut self,
        programs: &Programs,
        classes: Visibility,
    ) -> Vec<(&'static str, String)> {
        let mut failed = Vec::new();
        for (links, (group, class)) in self.0.iter_mut().zip(OBSERVERS) {
            if !class.intersects(classes) {
                links.clear();
            } else if links.is_empty() {
                match programs.attach(group) {
                    Ok(attached) => *links = attached,
                    Err(error) => failed.push((group, chain(&error))),
                }
            }
        }
        failed
    }
}
