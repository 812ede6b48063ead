//! Rules that would not hold under a given enforcer: those that it cannot express, and those that nothing enforces yet.

use ruleset::{EnforcerKind, Standing, account};

use crate::{Level, collection::Entry, finding::Findings};

pub(crate) fn check(entry: &Entry, enforcer: EnforcerKind, findings: &mut Findings) {
    for rule in account(&entry.policy, enforcer) {
        let at = entry.located.rules.get(&rule.place).copied().unwrap_or(entry.located.at);
        let place = (entry.file.as_str(), at, rule.place.0.as_str());
        let part = if rule.holds_in_part { "in part " } else { "" };
        let (code, message) = match rule.standing {
            Standing::Enforced | Standing::AuditOnly => continue,
            Standing::NotYet(reason) => {
                let message = format!("would not be enforced, whichever the enforcer: {reason}");
                ("not-enforced-yet", message)
            }
            Standing::NotExpressible(reason) => {
                ("not-expressible", format!("would {part}not hold under {enforcer}: {reason}"))
            }
        };
        let hint = "the policy's state shows the same where it is applied; all other rules hold";
        findings.add(Level::Warning, code, place, message, hint);
    }
}
