//! The `syscalls` section, whose rules audit whatever their action says.

use super::missing;
use crate::{
    Action, Attributes, Place, SyscallRule, SyscallSource,
    attributes::Level,
    path,
    reader::{Field, Fields, Report},
    syscall,
};

pub(crate) fn read(field: &Field<'_>, spec: &Level, report: &mut Report<'_>) -> Vec<SyscallRule> {
    let Some(mut fields) = field.fields(report) else { return Vec::new() };
    let level = refined(spec, &mut fields, report);
    let mut rules = Vec::new();
    for (key, has_path) in [("matchSyscalls", false), ("matchPaths", true)] {
        for item in fields.items(key, report) {
            let Some(mut entry) = item.fields(report) else { continue };
            let level = refined(&level, &mut entry, report);
            let path = if has_path { object(&mut entry, report) } else { None };
            let recursive = has_path && entry.truth("recursive", report);
            if recursive && path.as_ref().is_some_and(|path| !path.ends_with('/')) {
                let hint = "end the path in `/` if it is a directory, or leave `recursive` out";
                idle_recursive(&entry, "counts only with a directory", hint, report);
            }
            rules.push(SyscallRule {
                place: Place(item.path),
                attributes: Attributes { action: Action::Audit, ..level.resolved() },
                syscalls: syscalls(&mut entry, report),
                path,
                recursive,
                sources: sources(&mut entry, report),
            });
            entry.finish(report);
        }
    }
    fields.finish(report);
    rules
}

/// Warns of an action that changes nothing.
fn refined(level: &Level, fields: &mut Fields<'_>, report: &mut Report<'_>) -> Level {
    let refined = level.refined(fields, report);
    let written = fields.written("action");
    if let Some(field) = written.filter(|field| {
        field.text(report).and_then(Action::parse).is_some_and(|action| action != Action::Audit)
    }) {
        let hint = "write `Audit`, or leave it out";
        report.warning("ignored-field", &field, "system calls are audited, never refused", hint);
    }
    refined
}

fn syscalls(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Vec<String> {
    let before = report.errors();
    let items = fields.items("syscall", report);
    if items.is_empty() && report.errors() == before {
        missing(fields, "syscall", "syscall: [unlink]", report);
    }
    let mut named = Vec::new();
    for item in items {
        let Some(name) = item.text(report) else { continue };
        match syscall::canonical(name) {
            Some(canonical) => named.push(canonical.to_owned()),
            None => item.unknown_name(name, "a system call", syscall::names(), report),
        }
    }
    named
}

/// A path, or a directory if it ends in `/`.
fn object(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<String> {
    let Some(field) = fields.get("path", report) else {
        missing(fields, "path", "path: /etc/", report);
        return None;
    };
    let text = field.text(report)?;
    if text.ends_with('/') {
        path::directory(&field, text, report)
    } else {
        path::source(&field, text, report)
    }
}

fn idle_recursive(fields: &Fields<'_>, why: &str, hint: &str, report: &mut Report<'_>) {
    if let Some(field) = fields.written("recursive") {
        report.warning("ignored-field", &field, why, hint);
    }
}

fn sources(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Vec<SyscallSource> {
    let mut out = Vec::new();
    for item in fields.items("fromSource", report) {
        let Some(mut source) = item.fields(report) else { continue };
        let recursive = source.truth("recursive", report);
        let (path, dir) = (source.get("path", report), source.get("dir", report));
        if path.is_none() && dir.is_none() {
            missing(&source, "path` or `dir", "- path: /usr/bin/bash", report);
        }
        if recursive && path.is_some() && dir.is_none() {
            let hint = "write `dir` if it is a directory, or leave `recursive` out";
            idle_recursive(&source, "counts only with `dir`", hint, report);
        }
        if let Some(field) = path {
            let text = field.text(report);
            let path = text.and_then(|text| path::executable(&field, text, report));
            out.extend(path.map(SyscallSource::Path));
        }
        if let Some(field) = dir {
            let text = field.text(report);
            let dir = text.and_then(|text| path::directory(&field, text, report));
            out.extend(dir.map(|dir| SyscallSource::Directory { dir, recursive }));
        }
        source.finish(report);
    }
    out
}
