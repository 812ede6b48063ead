//! The `network` section: protocols and DNS queries.

use super::{Entry, comma_list, entries, missing, sources, terminal_only};
use crate::{
    DnsRule, Protocol, ProtocolRule,
    attributes::Level,
    reader::{Field, Report},
};

/// DNS knows no longer name, and no longer label.
const MAX_DOMAIN: usize = 253;
const MAX_LABEL: usize = 63;

pub(crate) fn read(
    field: &Field<'_>,
    spec: &Level,
    report: &mut Report<'_>,
) -> (Vec<ProtocolRule>, Vec<DnsRule>) {
    let Some(mut fields) = field.fields(report) else { return (Vec::new(), Vec::new()) };
    let level = spec.refined(&mut fields, report);
    let mut protocols = Vec::new();
    for entry in entries(&mut fields, "matchProtocols", &level, report) {
        protocols.extend(protocol_rules(entry, report));
    }
    let mut queries = Vec::new();
    for entry in entries(&mut fields, "matchDNSQueries", &level, report) {
        queries.extend(query_rules(entry, report));
    }
    fields.finish(report);
    (protocols, queries)
}

fn protocol_rules(entry: Entry<'_>, report: &mut Report<'_>) -> Vec<ProtocolRule> {
    let Entry { mut fields, place, level } = entry;
    let mut protocols = Vec::new();
    match fields.get("protocol", report) {
        None => missing(&fields, "protocol", "- protocol: tcp", report),
        Some(field) => {
            let text = field.text(report).map(|text| comma_list(&field, text, report));
            for name in text.unwrap_or_default() {
                let protocol = Protocol::parse(name);
                if protocol.is_none() {
                    let known = Protocol::ALL.map(Protocol::as_str);
                    field.unknown_name(name, "a protocol", known, report);
                }
                protocols.extend(protocol);
            }
        }
    }
    let sources = sources(&mut fields, report);
    let terminal_only = terminal_only(&mut fields, report);
    fields.finish(report);
    protocols
        .into_iter()
        .map(|protocol| ProtocolRule {
            place: place.clone(),
            attributes: level.resolved(),
            protocol,
            sources: sources.clone(),
            terminal_only,
        })
        .collect()
}

fn query_rules(entry: Entry<'_>, report: &mut Report<'_>) -> Vec<DnsRule> {
    let Entry { mut fields, place, level } = entry;
    let mut domains = Vec::new();
    match fields.get("domain", report) {
        None => missing(&fields, "domain", "- domain: example.com", report),
        Some(field) => {
            let text = field.text(report).map(|text| comma_list(&field, text, report));
            for name in text.unwrap_or_default() {
                domains.extend(domain(&field, name, report));
            }
        }
    }
    let sources = sources(&mut fields, report);
    fields.finish(report);
    domains
        .into_iter()
        .map(|domain| DnsRule {
            place: place.clone(),
            attributes: level.resolved(),
            domain,
            sources: sources.clone(),
        })
        .collect()
}

fn domain(field: &Field<'_>, written: &str, report: &mut Report<'_>) -> Option<String> {
    let name = written.trim_matches('.').to_ascii_lowercase();
    let labels_fit = name.split('.').all(|label| (1..=MAX_LABEL).contains(&label.len()));
    if name.len() > MAX_DOMAIN || !labels_fit {
        let message = format!("`{written}` is no domain name");
        let hint = "write a name such as `example.com`".to_owned();
        report.error("invalid-value", field, message, Some(hint));
        return None;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.chars().all(plain) {
        let message =
            format!("`{written}` can never match: queries have letters, digits, `-`, `_`");
        let hint = "leave out `*.` (names below are covered), write others in their `xn--` form";
        report.warning("never-matches", field, message, hint);
    }
    Some(name)
}
