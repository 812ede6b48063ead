//! The report as one JSON object, whose shape stays: `version` counts up when it has to change.

use serde_json::{Value, json};

use crate::{Level, Report};

const VERSION: u32 = 1;

impl Report {
    /// `{version, findings: [{level, code, message, file, line, column, field?, hint?}],
    /// skipped: [{file, line, reason}], summary: {files, policies, errors, warnings, notes}}`
    pub fn to_json(&self) -> Value {
        json!({
            "version": VERSION,
            "findings": self.findings,
            "skipped": self.skipped,
            "summary": {
                "files": self.files,
                "policies": self.policies,
                "errors": self.count(Level::Error),
                "warnings": self.count(Level::Warning),
                "notes": self.count(Level::Note),
            },
        })
    }
}
