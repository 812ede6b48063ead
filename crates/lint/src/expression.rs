//! Rules that a given enforcer cannot express.

use ruleset::{EnforcerKind, Standing, account};

use crate::{Level, collection::Entry, finding::Findings};

pub(crate) fn check(entry: &Entry, enforcer: EnforcerKind, findings: &mut Findings) {
    for rule in account(&entry.policy, enforcer) {
        let Standing::NotExpressible(reason) = rule.standing else { continue };
        let at = entry.located.rules.get(&rule.place).copied().unwrap_or(entry.located.at);
        let message = format!("would not be enforced by {enforcer}: {reason}");
        let hint = "the policy's state shows the same where it is applied; all other rules hold";
        let place = (entry.file.as_str(), at, rule.place.0.as_str());
        findings.add(Level::Warning, "not-expressible", place, message, hint);
    }
}
