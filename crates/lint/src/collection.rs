//! The policies of all texts, each with its place, and who stands for a name that several have.

use std::collections::BTreeMap;

use policy::{Located, Policy, PolicyId, Position, parse_among_others};
use ruleset::{Links, Rule, rules_of};

use crate::{Level, Skipped, Source, finding::Findings};

/// A policy where it stands.
pub(crate) struct Entry {
    pub(crate) file: String,
    pub(crate) policy: Policy,
    pub(crate) located: Located,
    /// What it means for a workload whose links are not known.
    pub(crate) rules: Vec<Rule>,
}

impl Entry {
    /// Where findings about a rule point to.
    pub(crate) fn place_of<'e>(&'e self, rule: &'e Rule) -> (&'e str, Position, &'e str) {
        let place = &rule.origin.place;
        let at = self.located.rules.get(place).copied().unwrap_or(self.located.at);
        (&self.file, at, &place.0)
    }
}

#[derive(Default)]
pub(crate) struct Collection {
    entries: Vec<Entry>,
    /// Policies read, also those that others replace.
    count: usize,
}

impl Collection {
    pub(crate) fn read(sources: &[Source], findings: &mut Findings) -> Self {
        let mut collection = Self::default();
        for source in sources {
            collection.add(source, findings);
        }
        collection.replace(findings);
        collection
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn into_count(self) -> usize {
        self.count
    }

    fn add(&mut self, source: &Source, findings: &mut Findings) {
        let parsed = parse_among_others(&source.text, &source.name);
        let nothing = parsed.policies.is_empty() && parsed.diagnostics.is_empty();
        if source.named && nothing {
            let reasons = parsed.skipped.iter().map(|skipped| skipped.reason.as_str());
            let reasons: Vec<_> = reasons.collect();
            let message = format!("there is no policy in this file: it {}", reasons.join(", "));
            let place = (source.name.as_str(), Position { line: 1, column: 1 }, "");
            let hint = "name a file with a document of the kind KubeArmorPolicy";
            findings.add(Level::Error, "no-policy", place, message, hint);
        } else {
            findings.skipped.extend(parsed.skipped.into_iter().map(|skipped| Skipped {
                file: source.name.clone(),
                line: skipped.at.line,
                reason: skipped.reason,
            }));
        }
        parsed.diagnostics.into_iter().for_each(|found| findings.add_diagnostic(found));
        for (policy, located) in parsed.policies.into_iter().zip(parsed.located) {
            let rules = rules_of(&policy, &Links::default());
            let file = source.name.clone();
            self.entries.push(Entry { file, policy, located, rules });
            self.count += 1;
        }
    }

    /// Of policies with one name only the last counts, as if all were applied in the order given.
    fn replace(&mut self, findings: &mut Findings) {
        let mut last: BTreeMap<PolicyId, Entry> = BTreeMap::new();
        for entry in std::mem::take(&mut self.entries) {
            let id = applied_id(&entry.policy.id);
            if let Some(earlier) = last.get(&id) {
                let (line, name) = (earlier.located.at.line, &entry.policy.id.name);
                let message = format!(
                    "replaces the {} `{name}` of {}:{line}: of one kind and namespace a name stands for one policy",
                    entry.policy.id.kind, earlier.file,
                );
                let place = (entry.file.as_str(), entry.located.at, "metadata.name");
                let hint = "give one of them another name, or merge them";
                findings.add(Level::Error, "duplicate-policy", place, message, hint);
            }
            last.insert(id, entry);
        }
        self.entries = last.into_values().collect();
    }
}

/// What a policy is known by once it is applied: one that names no namespace is in the default one.
fn applied_id(id: &PolicyId) -> PolicyId {
    let mut id = id.clone();
    if id.kind.is_namespaced() {
        id.namespace.get_or_insert_with(|| "default".to_owned());
    }
    id
}
