//! What `lint` has to say.

use std::fmt;

use policy::{Diagnostic, Position};
use serde::Serialize;

use crate::collection::Collection;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth knowing, no fault.
    Note,
    /// Probably not what was meant.
    Warning,
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One finding at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub level: Level,
    /// One of [`crate::CODES`].
    pub code: &'static str,
    pub message: String,
    pub file: String,
    pub line: usize,
    pub column: usize,
    /// `spec.file.matchPaths[2]`; empty for a whole document.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A document, or a whole text, that is no policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    pub file: String,
    pub line: usize,
    pub reason: String,
}

/// All that was found, ordered by file and place.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub findings: Vec<Finding>,
    pub skipped: Vec<Skipped>,
    pub files: usize,
    pub policies: usize,
}

impl Report {
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }
}

/// The findings so far.
#[derive(Default)]
pub(crate) struct Findings {
    found: Vec<Finding>,
    pub(crate) skipped: Vec<Skipped>,
}

impl Findings {
    pub(crate) fn add(
        &mut self,
        level: Level,
        code: &'static str,
        place: (&str, Position, &str),
        message: String,
        hint: impl Into<String>,
    ) {
        let (file, at, field) = place;
        self.found.push(Finding {
            level,
            code,
            message,
            file: file.to_owned(),
            line: at.line,
            column: at.column,
            field: field.to_owned(),
            hint: Some(hint.into()),
        });
    }

    /// What is accepted with a warning when a policy is applied is a fault of its text all the same.
    pub(crate) fn add_diagnostic(&mut self, diagnostic: Diagnostic) {
        let Diagnostic { code, message, file, line, column, field, hint, .. } = diagnostic;
        self.found.push(Finding {
            level: Level::Error,
            code,
            message,
            file,
            line,
            column,
            field,
            hint,
        });
    }

    /// Whether something was said with this code about a place or a field of it.
    pub(crate) fn has(&self, code: &str, file: &str, place: &str) -> bool {
        self.found.iter().any(|finding| {
            finding.code == code && finding.file == file && finding.field.starts_with(place)
        })
    }

    pub(crate) fn into_report(mut self, files: usize, collection: Collection) -> Report {
        self.found.sort_by(|a, b| {
            let key = |finding: &Finding| (finding.line, finding.column, finding.code);
            a.file.cmp(&b.file).then_with(|| key(a).cmp(&key(b)))
        });
        Report {
            findings: self.found,
            skipped: self.skipped,
            files,
            policies: collection.into_count(),
        }
    }
}
