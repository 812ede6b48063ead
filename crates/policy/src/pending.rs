//! What the language understands and no enforcer holds yet, so that nothing is dropped in silence.
//!
//! A class leaves this list with the change that enforces it.

use crate::{
    Place, Policy,
    places::{APPARMOR, places},
};

impl Policy {
    /// The rules that are accepted and not enforced, each with the reason.
    pub fn not_enforced_yet(&self) -> Vec<(Place, String)> {
        let spec = &self.spec;
        let pending = [
            ("device rules are not enforced yet", places(&spec.devices, |rule| &rule.place)),
            ("only AppArmor enforces its native rules", self.native()),
            ("network policies are not enforced yet", places(&spec.firewall, |rule| &rule.place)),
        ];
        pending
            .into_iter()
            .flat_map(|(reason, places)| {
                places.into_iter().map(move |place| (place, reason.to_owned()))
            })
            .collect()
    }

    /// Whether nothing of the policy is enforced.
    pub fn is_wholly_unenforced(&self) -> bool {
        self.places().len() == self.not_enforced_yet().len()
    }

    fn native(&self) -> Vec<Place> {
        self.spec.apparmor.iter().map(|_| Place(APPARMOR.to_owned())).collect()
    }
}
