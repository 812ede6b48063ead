//! The `capabilities` section.

use super::{Entry, comma_list, entries, missing, sources};
use crate::{
    Capability, CapabilityRule,
    attributes::Level,
    reader::{Field, Report},
};

pub(crate) fn read(
    field: &Field<'_>,
    spec: &Level,
    report: &mut Report<'_>,
) -> Vec<CapabilityRule> {
    let Some(mut fields) = field.fields(report) else { return Vec::new() };
    let level = spec.refined(&mut fields, report);
    let mut rules = Vec::new();
    for entry in entries(&mut fields, "matchCapabilities", &level, report) {
        rules.extend(capability_rules(entry, report));
    }
    fields.finish(report);
    rules
}

fn capability_rules(entry: Entry<'_>, report: &mut Report<'_>) -> Vec<CapabilityRule> {
    let Entry { mut fields, place, level } = entry;
    let mut named = Vec::new();
    match fields.get("capability", report) {
        None => missing(&fields, "capability", "- capability: net_raw", report),
        Some(field) => {
            let text = field.text(report).map(|text| comma_list(&field, text, report));
            for name in text.unwrap_or_default() {
                match Capability::parse(name) {
                    Some(capability) => named.push(capability),
                    None => unknown(&field, name, report),
                }
            }
        }
    }
    let sources = sources(&mut fields, report);
    fields.finish(report);
    named
        .into_iter()
        .map(|capability| CapabilityRule {
            place: place.clone(),
            attributes: level.resolved(),
            capability,
            sources: sources.clone(),
        })
        .collect()
}

fn unknown(field: &Field<'_>, name: &str, report: &mut Report<'_>) {
    let names = Capability::policy_names();
    field.unknown_name(name, "a capability", names.iter().map(String::as_str), report);
}
