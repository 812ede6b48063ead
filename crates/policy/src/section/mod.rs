//! The sections of a spec, one module each.

pub(crate) mod capabilities;
pub(crate) mod devices;
pub(crate) mod firewall;
pub(crate) mod network;
pub(crate) mod paths;
pub(crate) mod presets;
pub(crate) mod syscalls;

use crate::{
    Place,
    attributes::Level,
    path,
    reader::{Field, Fields, Report},
};

/// One entry of a rule list: its fields, its place, and its attributes so far.
pub(crate) struct Entry<'t> {
    pub fields: Fields<'t>,
    pub place: Place,
    pub level: Level,
}

/// The entries of the list `key`, each with the attributes that it writes itself.
pub(crate) fn entries<'t>(
    section: &mut Fields<'t>,
    key: &'static str,
    level: &Level,
    report: &mut Report<'_>,
) -> Vec<Entry<'t>> {
    let mut out = Vec::new();
    for item in section.items(key, report) {
        let Some(mut fields) = item.fields(report) else { continue };
        let level = level.refined(&mut fields, report);
        out.push(Entry { fields, place: Place(item.path), level });
    }
    out
}

/// The executables of `fromSource`. An entry without one is an error: to drop it would widen the rule to every subject.
fn sources(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Vec<String> {
    let mut out = Vec::new();
    for item in fields.items("fromSource", report) {
        let Some(mut source) = item.fields(report) else { continue };
        match source.text("path", report) {
            Some((field, text)) => out.extend(path::executable(&field, text, report)),
            None => missing(&source, "path", "- path: /usr/bin/bash", report),
        }
        source.finish(report);
    }
    out
}

/// `pts: false` was written.
fn terminal_only(fields: &mut Fields<'_>, report: &mut Report<'_>) -> bool {
    fields.get("pts", report).and_then(|field| field.truth(report)) == Some(false)
}

/// Reports a rule that names nothing. `example` shows the entry as it should be.
fn missing(fields: &Fields<'_>, field: &str, example: &str, report: &mut Report<'_>) {
    let message = format!("is empty: it has no `{field}`");
    fields.error("empty-rule", message, &format!("write `{example}`"), report);
}

/// The items of a comma list, which may have spaces and empty places.
fn comma_list<'t>(field: &Field<'t>, text: &'t str, report: &mut Report<'_>) -> Vec<&'t str> {
    let items: Vec<&str> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    if items.is_empty() {
        let hint = Some("name at least one, or delete the rule".to_owned());
        report.error("empty-rule", field, "names nothing", hint);
    }
    items
}
