//! What the language understands and nothing enforces yet, so that nothing is dropped in silence.
//!
//! A class leaves this list with the change that enforces it.

use crate::{Place, Policy, places::places};

impl Policy {
    /// The rules that are accepted and not enforced by anything yet, each with the reason. What one mechanism can
    /// express and another cannot is `ruleset`'s business.
    pub fn not_enforced_yet(&self) -> Vec<(Place, &'static str)> {
        let spec = &self.spec;
        let pending = [
            ("device rules are not enforced yet", places(&spec.devices, |rule| &rule.place)),
            ("network policies are not enforced yet", places(&spec.firewall, |rule| &rule.place)),
        ];
        pending
            .into_iter()
            .flat_map(|(reason, places)| places.into_iter().map(move |place| (place, reason)))
            .collect()
    }
}
