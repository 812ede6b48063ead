//! Paths and directories as policies write them: what is refused, what can never match.

use crate::{
    PathObject,
    pattern::Pattern,
    reader::{Field, Report},
};

/// The kernel knows no longer path.
const MAX_PATH: usize = 4096;
/// The kernel knows no longer file name.
const MAX_NAME: usize = 255;

/// The object of a `matchPaths` entry: a path, or a pattern if a glob character stands in it.
pub(crate) fn object(field: &Field<'_>, text: &str, report: &mut Report<'_>) -> Option<PathObject> {
    if !Pattern::is_written_in(text) {
        return path(field, &Pattern::unescape(text), report).map(PathObject::Path);
    }
    let hint = "say so with `matchPatterns`, or put `\\` before each glob character";
    report.warning("pattern-in-path", field, "has glob characters and is a pattern", hint);
    pattern(field, text, report)
}

/// A path without glob characters, as in `fromSource`.
pub(crate) fn path(field: &Field<'_>, text: &str, report: &mut Report<'_>) -> Option<String> {
    if text.is_empty() {
        let hint = Some("name an absolute path".to_owned());
        report.error("empty-rule", field, "the path is empty", hint);
        return None;
    }
    check_length(field, text, report)?;
    check_spelling(field, text, report);
    if text.len() > 1 && text.ends_with('/') {
        never(
            field,
            "a path does not end in `/`",
            "use `matchDirectories` for a directory",
            report,
        );
    }
    Some(text.to_owned())
}

/// A path that is taken literally though it may look like a pattern.
pub(crate) fn source(field: &Field<'_>, text: &str, report: &mut Report<'_>) -> Option<String> {
    warn_of_literal_glob(field, text, "name each executable on its own", report);
    path(field, text, report)
}

/// A path of `fromSource`.
pub(crate) fn executable(field: &Field<'_>, text: &str, report: &mut Report<'_>) -> Option<String> {
    if text.contains(char::is_whitespace) {
        let why = "it is compared with the executable's path, not with its arguments";
        never(field, why, "name the executable only", report);
    }
    source(field, text, report)
}

/// A directory, which always comes out with a `/` at its end.
pub(crate) fn directory(field: &Field<'_>, text: &str, report: &mut Report<'_>) -> Option<String> {
    if text.is_empty() {
        let hint = Some("name an absolute directory, such as `/etc/`".to_owned());
        report.error("empty-rule", field, "the directory is empty", hint);
        return None;
    }
    check_length(field, text, report)?;
    warn_of_literal_glob(field, text, "use `matchPatterns`", report);
    let inner = text.strip_suffix('/').unwrap_or(text);
    if inner.len() == text.len() {
        let hint = format!("write `{text}/`");
        report.warning("directory-without-slash", field, "a directory ends in `/`", hint);
    }
    if !inner.is_empty() {
        check_spelling(field, inner, report);
    }
    Some(format!("{inner}/"))
}

pub(crate) fn pattern(
    field: &Field<'_>,
    text: &str,
    report: &mut Report<'_>,
) -> Option<PathObject> {
    if text.is_empty() {
        let hint = Some("write a pattern such as `/tmp/*.sh`".to_owned());
        report.error("empty-rule", field, "the pattern is empty", hint);
        return None;
    }
    check_length(field, text, report)?;
    let parsed = match Pattern::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let message = format!("the pattern `{text}` is broken: {error}");
            let hint = "put `\\` before a character that means itself".to_owned();
            report.error("broken-pattern", field, message, Some(hint));
            return None;
        }
    };
    if !parsed.can_match_absolute() {
        never(field, "paths begin with `/`", &format!("write `/**/{text}`"), report);
    }
    if parsed.has_shell_negation() {
        let hint = "write `[^...]` for any other character";
        report.warning("not-a-negation", field, "`!` in `[...]` means itself", hint);
    }
    Some(PathObject::Pattern(text.to_owned()))
}

/// A space in the process section is nearly always a command line.
pub(crate) fn warn_of_arguments(field: &Field<'_>, text: &str, report: &mut Report<'_>) {
    if text.contains(char::is_whitespace) {
        let hint = "name the executable only; arguments go into `allowedArgs`";
        never(
            field,
            "it is compared with the executable's path, not with its arguments",
            hint,
            report,
        );
    }
}

fn check_length(field: &Field<'_>, text: &str, report: &mut Report<'_>) -> Option<()> {
    if text.contains('\0') {
        report.error("invalid-value", field, "a path cannot contain a NUL character", None);
        return None;
    }
    if text.len() > MAX_PATH {
        let message = format!("{} bytes are longer than any path", text.len());
        let hint = Some(format!("a path has at most {MAX_PATH} bytes"));
        report.error("invalid-value", field, message, hint);
        return None;
    }
    Some(())
}

/// The kernel reports absolute paths in their shortest form only.
fn check_spelling(field: &Field<'_>, text: &str, report: &mut Report<'_>) {
    if !text.starts_with('/') {
        never(field, "it is not absolute", &format!("write `/{text}` or the full path"), report);
        return;
    }
    let mut components = text[1..].split('/').peekable();
    while let Some(component) = components.next() {
        let last = components.peek().is_none();
        if (component.is_empty() && !last) || matches!(component, "." | "..") {
            never(
                field,
                "paths are compared without `//`, `/./` and `/../`",
                "write the plain path",
                report,
            );
            return;
        }
        if component.len() > MAX_NAME {
            let hint = format!("a file name has at most {MAX_NAME} bytes");
            never(field, "a file name in it is too long", &hint, report);
            return;
        }
    }
}

/// Warns of a pattern in place of an executable's name. What is no pattern was not meant as one: `[` is a program.
pub(crate) fn warn_of_glob_in_name(field: &Field<'_>, text: &str, report: &mut Report<'_>) {
    if Pattern::parse(text).is_ok() {
        let hint = format!("write `matchPatterns: [{{pattern: \"/**/{text}\"}}]`");
        warn_of_literal_glob(field, text, &hint, report);
    }
}

fn warn_of_literal_glob(field: &Field<'_>, text: &str, hint: &str, report: &mut Report<'_>) {
    if Pattern::is_written_in(text) {
        let message = "glob characters mean themselves here";
        report.warning("literal-glob", field, message, hint);
    }
}

fn never(field: &Field<'_>, why: &str, hint: &str, report: &mut Report<'_>) {
    report.warning("never-matches", field, format!("can never match: {why}"), hint);
}
