//! The report as SARIF 2.1.0, which code hosts show beside the lines.

use serde_json::{Value, json};

use crate::{CODES, Finding, Report, Skipped};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

impl Report {
    /// `version` is that of the program that tells it.
    pub fn to_sarif(&self, version: &str) -> Value {
        let rules = CODES
            .iter()
            .map(|code| json!({"id": code.name, "shortDescription": {"text": code.meaning}}));
        let skipped: Vec<Value> = self.skipped.iter().map(notification).collect();
        json!({
            "$schema": SCHEMA,
            "version": "2.1.0",
            "runs": [{
                "tool": {"driver": {
                    "name": "karmor policy lint",
                    "version": version,
                    "rules": rules.collect::<Vec<_>>(),
                }},
                "columnKind": "unicodeCodePoints",
                "invocations": [{
                    "executionSuccessful": true,
                    "toolExecutionNotifications": skipped,
                }],
                "results": self.findings.iter().map(result).collect::<Vec<_>>(),
            }],
        })
    }
}

fn result(finding: &Finding) -> Value {
    let subject = if finding.field.is_empty() {
        finding.message.clone()
    } else {
        format!("{}: {}", finding.field, finding.message)
    };
    let hint = finding.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    let mut result = json!({
        "ruleId": finding.code,
        "level": finding.level,
        "message": {"text": format!("{subject}{hint}")},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(&finding.file)},
            "region": {"startLine": finding.line, "startColumn": finding.column},
        }}],
    });
    if let Some(index) = CODES.iter().position(|code| code.name == finding.code) {
        result["ruleIndex"] = json!(index);
    }
    result
}

fn notification(skipped: &Skipped) -> Value {
    json!({
        "level": "note",
        "message": {"text": format!("skipped: {}", skipped.reason)},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(&skipped.file)},
            "region": {"startLine": skipped.line},
        }}],
    })
}

/// A path as a reference: what is no plain character of paths is escaped.
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let uri: String = (path.bytes())
        .map(|byte| match byte {
            byte if plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    if path.starts_with('/') { format!("file://{uri}") } else { uri }
}
