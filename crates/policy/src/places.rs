//! The places of a policy's rules.

use crate::{Place, Policy};

impl Policy {
    /// Each place where a rule is written, once, though a comma list makes several rules of it.
    pub fn places(&self) -> Vec<Place> {
        let spec = &self.spec;
        [
            places(&spec.process, |rule| &rule.place),
            places(&spec.file, |rule| &rule.place),
            places(&spec.protocols, |rule| &rule.place),
            places(&spec.dns, |rule| &rule.place),
            places(&spec.capabilities, |rule| &rule.place),
            places(&spec.syscalls, |rule| &rule.place),
            places(&spec.presets, |rule| &rule.place),
            places(&spec.devices, |rule| &rule.place),
            places(&spec.firewall, |rule| &rule.place),
            self.native_place().into_iter().collect(),
        ]
        .concat()
    }

    /// Where the policy has native rules, which are one text and not a list.
    pub fn native_place(&self) -> Option<Place> {
        self.spec.apparmor.as_ref().map(|_| Place("spec.apparmor".to_owned()))
    }
}

pub(crate) fn places<R>(rules: &[R], place: impl Fn(&R) -> &Place) -> Vec<Place> {
    let mut places: Vec<Place> = rules.iter().map(|rule| place(rule).clone()).collect();
    places.dedup();
    places
}
