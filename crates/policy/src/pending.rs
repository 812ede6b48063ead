//! What the language understands and no enforcer holds yet, so that nothing is dropped in silence.
//!
//! A class leaves this list with the change that enforces it.

use crate::{Place, Policy};

impl Policy {
    /// The rules that are accepted and not enforced yet, each with the reason.
    pub fn not_enforced_yet(&self) -> Vec<(Place, String)> {
        let spec = &self.spec;
        let apparmor = spec.apparmor.as_ref().map(|_| Place("spec.apparmor".to_owned()));
        let pending = [
            ("presets", places(&spec.presets, |rule| &rule.place)),
            ("DNS rules", places(&spec.dns, |rule| &rule.place)),
            ("system call rules", places(&spec.syscalls, |rule| &rule.place)),
            ("device rules", places(&spec.devices, |rule| &rule.place)),
            ("native AppArmor rules", apparmor.into_iter().collect()),
            ("network policies", places(&spec.firewall, |rule| &rule.place)),
        ];
        pending
            .into_iter()
            .flat_map(|(class, places)| {
                places
                    .into_iter()
                    .map(move |place| (place, format!("{class} are not enforced yet")))
            })
            .collect()
    }
}

/// Each place once, though a comma list makes several rules of it.
fn places<R>(rules: &[R], place: impl Fn(&R) -> &Place) -> Vec<Place> {
    let mut places: Vec<Place> = rules.iter().map(|rule| place(rule).clone()).collect();
    places.dedup();
    places
}
