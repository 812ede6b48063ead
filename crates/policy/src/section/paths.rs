//! The `process` and `file` sections.

use super::{Entry, entries, missing, sources, terminal_only};
use crate::{
    PathObject, PathRule,
    attributes::Level,
    path,
    reader::{Field, Fields, Report},
};

/// The two sections differ in a few fields of their rules.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Process,
    File,
}

pub(crate) fn read(
    section: Section,
    field: &Field<'_>,
    spec: &Level,
    report: &mut Report<'_>,
) -> Vec<PathRule> {
    let Some(mut fields) = field.fields(report) else { return Vec::new() };
    let level = spec.refined(&mut fields, report);
    let lists: [(&str, ObjectReader); 3] = [
        ("matchPaths", path_object),
        ("matchDirectories", directory_object),
        ("matchPatterns", pattern_object),
    ];
    let mut rules = Vec::new();
    for (key, object) in lists {
        for mut entry in entries(&mut fields, key, &level, report) {
            let object = object(section, &mut entry.fields, report);
            rules.extend(rule(section, entry, object, report));
        }
    }
    fields.finish(report);
    rules
}

type ObjectReader = fn(Section, &mut Fields<'_>, &mut Report<'_>) -> Option<PathObject>;

fn rule(
    section: Section,
    entry: Entry<'_>,
    object: Option<PathObject>,
    report: &mut Report<'_>,
) -> Option<PathRule> {
    let Entry { mut fields, place, level } = entry;
    let allowed_args = match section {
        Section::Process => fields.get("allowedArgs", report).map(|field| field.texts(report)),
        Section::File => None,
    };
    let rule = PathRule {
        place,
        attributes: level.resolved(),
        // Read whatever the object is worth, so that all faults of a rule show at once.
        sources: sources(&mut fields, report),
        read_only: section == Section::File && fields.truth("readOnly", report),
        owner_only: fields.truth("ownerOnly", report),
        terminal_only: terminal_only(&mut fields, report),
        allowed_args,
        object: object.clone().unwrap_or_else(|| PathObject::Path(String::new())),
    };
    fields.finish(report);
    object.map(|_| rule)
}

fn path_object(
    section: Section,
    fields: &mut Fields<'_>,
    report: &mut Report<'_>,
) -> Option<PathObject> {
    let path = fields.get("path", report);
    let name = match section {
        Section::Process => fields.get("execname", report),
        Section::File => None,
    };
    match (path, name) {
        (Some(field), name) => {
            if let Some(name) = name {
                let hint = "make two rules of it";
                report.warning("ignored-field", &name, "counts only without `path`", hint);
            }
            let text = field.text(report)?;
            if section == Section::Process {
                path::warn_of_arguments(&field, text, report);
            }
            path::object(&field, text, report)
        }
        (None, Some(field)) => exec_name(&field, report),
        (None, None) => {
            let field = if section == Section::Process { "path` or `execname" } else { "path" };
            missing(fields, field, "- path: /usr/bin/example", report);
            None
        }
    }
}

fn exec_name(field: &Field<'_>, report: &mut Report<'_>) -> Option<PathObject> {
    let text = field.text(report)?;
    if text.is_empty() {
        let hint = Some("name an executable without its directory".to_owned());
        report.error("empty-rule", field, "the name is empty", hint);
        return None;
    }
    if text.contains(['/', '\0']) {
        let message = format!("`{text}` is no file name");
        let hint = "write the last component only, or use `path`".to_owned();
        report.error("invalid-value", field, message, Some(hint));
        return None;
    }
    path::warn_of_arguments(field, text, report);
    path::warn_of_glob_in_name(field, text, report);
    Some(PathObject::ExecName(text.to_owned()))
}

fn directory_object(
    _: Section,
    fields: &mut Fields<'_>,
    report: &mut Report<'_>,
) -> Option<PathObject> {
    let recursive = fields.truth("recursive", report);
    let Some(field) = fields.get("dir", report) else {
        missing(fields, "dir", "- dir: /etc/example/", report);
        return None;
    };
    let text = field.text(report)?;
    path::directory(&field, text, report).map(|dir| PathObject::Directory { dir, recursive })
}

fn pattern_object(
    section: Section,
    fields: &mut Fields<'_>,
    report: &mut Report<'_>,
) -> Option<PathObject> {
    let Some(field) = fields.get("pattern", report) else {
        missing(fields, "pattern", "- pattern: /tmp/*.sh", report);
        return None;
    };
    let text = field.text(report)?;
    if section == Section::Process {
        path::warn_of_arguments(&field, text, report);
    }
    path::pattern(&field, text, report)
}
