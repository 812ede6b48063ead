//! Policies out of files and directories, with the lines that their rules stand on.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use policy::{Diagnostic, Parsed, Place, Policy, PolicyId};
use ruleset::Origin;

use super::{files, words};
use crate::failure::Advised;

/// The namespace of a namespaced policy that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// An answer is not to drown in them.
const MOST_WARNINGS: usize = 20;

/// What the policies of some files say.
#[derive(Debug, Default)]
pub(super) struct PolicySet {
    pub(super) policies: Vec<Policy>,
    /// `FILE:LINE` of each rule.
    lines: BTreeMap<PolicyId, BTreeMap<Place, String>>,
    /// What the reader of the language warned of: policies may mean less than they seem to.
    warnings: Vec<String>,
    /// Documents that are no policies.
    skipped: Vec<String>,
}

impl PolicySet {
    /// Reads files, directories with all that is below them, and standard input (`-`). A faulty policy is an error.
    pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut set = Self::default();
        let mut faults = 0;
        for source in files::read(paths)? {
            let parsed = policy::parse_among_others(&source.text, &source.name);
            faults += set.take(&parsed, &source.name);
        }
        if faults > 0 {
            let hint = "mend what is said above; nothing can be said about a part of the policies";
            return Err(Advised::new(
                format!("{} in the policies", words::count(faults, "error")),
                hint,
            )
            .into());
        }
        if set.policies.is_empty() {
            let named: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
            let hint = "name files with policies, or directories with .yaml, .yml or .json files";
            return Err(Advised::new(format!("no policy in {}", named.join(", ")), hint).into());
        }
        Ok(set)
    }

    /// Adds what a text holds and tells its errors, whose number it returns.
    fn take(&mut self, parsed: &Parsed, file: &str) -> usize {
        let warnings = parsed.diagnostics.iter().filter(|finding| !finding.is_error());
        self.warnings.extend(warnings.map(remark));
        let skipped = parsed.skipped.iter();
        self.skipped.extend(skipped.map(|one| format!("{file}:{}: {}", one.at.line, one.reason)));
        let errors = parsed.diagnostics.iter().filter(|finding| finding.is_error());
        let faults = errors.inspect(|finding| eprintln!("{finding}")).count();
        for (policy, located) in parsed.policies.iter().zip(&parsed.located) {
            let mut policy = policy.clone();
            if policy.id.kind.is_namespaced() {
                policy.id.namespace.get_or_insert_with(|| DEFAULT_NAMESPACE.to_owned());
            }
            let lines = located.rules.iter();
            let lines = lines.map(|(place, at)| (place.clone(), format!("{file}:{}", at.line)));
            let before = self.lines.insert(policy.id.clone(), lines.collect());
            if before.is_some() {
                self.warnings.push(format!(
                    "{file}: a second {}; it takes the place of the first",
                    words::policy_id(&policy.id)
                ));
                self.policies.retain(|known| known.id != policy.id);
            }
            self.policies.push(policy);
        }
        faults
    }

    /// `FILE:LINE` of a rule.
    pub(super) fn line(&self, origin: &Origin) -> Option<&str> {
        let id = PolicyId {
            kind: origin.kind,
            namespace: origin.namespace.clone(),
            name: origin.policy.clone(),
        };
        self.lines.get(&id)?.get(&origin.place).map(String::as_str)
    }

    /// What was read otherwise than its author may think.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks: Vec<String> = self.warnings.iter().take(MOST_WARNINGS).cloned().collect();
        let more = self.warnings.len() - remarks.len();
        if more > 0 {
            let more = words::count(more, "more warning");
            remarks.push(format!("{more} (karmor policy lint shows them all)"));
        }
        if let Some(first) = self.skipped.first() {
            let all = words::count(self.skipped.len(), "document");
            remarks.push(format!("passed over, as no policy: {all}, the first is {first}"));
        }
        remarks
    }

    /// Rules of the policies that `decide` does not know, with the reason.
    pub(super) fn not_judged(&self) -> BTreeSet<String> {
        let pending = self.policies.iter().flat_map(Policy::not_enforced_yet);
        let native = self.policies.iter().filter_map(Policy::native_place);
        let native = native.map(|_| "only AppArmor enforces its native rules");
        pending.map(|(_, reason)| reason).chain(native).map(str::to_owned).collect()
    }
}

/// `web.yaml:7:5: spec.file.readonly: unknown field (did you mean `readOnly`?)`
fn remark(finding: &Diagnostic) -> String {
    let Diagnostic { file, line, column, field, message, hint, .. } = finding;
    let field = if field.is_empty() { String::new() } else { format!("{field}: ") };
    let hint = hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    let told = format!("{file}:{line}:{column}: {field}{message}{hint}");
    told.replace(char::is_control, "\u{fffd}")
}
