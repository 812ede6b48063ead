//! Typed reading of a YAML tree, collecting every finding on the way instead of stopping at the first.

use crate::{
    diagnostic::{Diagnostic, Severity},
    suggestion::did_you_mean,
    yaml::{Map, Node, Position, Scalar, Value},
};

/// A text with more findings than this has one cause, or an author who wants the memory.
const MAX_FINDINGS: usize = 500;

/// The findings so far about one text.
pub(crate) struct Report<'a> {
    file: &'a str,
    found: Vec<Diagnostic>,
    errors: usize,
}

impl<'a> Report<'a> {
    pub(crate) fn new(file: &'a str) -> Self {
        Self { file, found: Vec::new(), errors: 0 }
    }

    pub(crate) fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        (at, field): (Position, &str),
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        // The first error is kept whatever came before it: it says why there is no policy.
        let first_error = severity == Severity::Error && self.errors == 0;
        self.errors += usize::from(severity == Severity::Error);
        if self.found.len() >= MAX_FINDINGS && !first_error {
            return;
        }
        self.found.push(Diagnostic {
            severity,
            code,
            message: message.into(),
            file: self.file.to_owned(),
            line: at.line,
            column: at.column,
            field: field.to_owned(),
            hint,
        });
    }

    pub(crate) fn error(
        &mut self,
        code: &'static str,
        field: &Field<'_>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.add(Severity::Error, code, field.place(), message, hint);
    }

    pub(crate) fn warning(
        &mut self,
        code: &'static str,
        field: &Field<'_>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Warning, code, field.place(), message, Some(hint.into()));
    }

    /// Whether a further finding would be left out, so that its hint need not be sought.
    fn is_full(&self) -> bool {
        self.errors > 0 && self.found.len() >= MAX_FINDINGS
    }

    /// How many errors there were so far, to tell whether a part was read without one.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// All findings in the order of the text.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|finding| (finding.line, finding.column));
        self.found
    }
}

/// A value and how users name its place.
#[derive(Clone)]
pub(crate) struct Field<'t> {
    pub node: &'t Node,
    pub path: String,
}

impl<'t> Field<'t> {
    pub(crate) fn place(&self) -> (Position, &str) {
        (self.node.at, &self.path)
    }

    /// The mapping's fields; an error if it is none.
    pub(crate) fn fields(&self, report: &mut Report<'_>) -> Option<Fields<'t>> {
        match &self.node.value {
            Value::Map(map) => {
                Some(Fields { map, at: self.node.at, path: self.path.clone(), known: Vec::new() })
            }
            _ => self.wrong_type("fields of its own", None, report),
        }
    }

    /// The list's entries; an error if it is none.
    pub(crate) fn items(&self, report: &mut Report<'_>) -> Vec<Field<'t>> {
        let Value::List(list) = &self.node.value else {
            let hint = "begin each entry with `- `".to_owned();
            return self.wrong_type("a list", Some(hint), report).unwrap_or_default();
        };
        list.iter()
            .enumerate()
            .map(|(index, node)| Field { node, path: format!("{}[{index}]", self.path) })
            .collect()
    }

    pub(crate) fn text(&self, report: &mut Report<'_>) -> Option<&'t str> {
        match &self.node.value {
            Value::Scalar(scalar) if scalar.plain && is_typed(&scalar.text) => {
                let hint = format!("write it in quotes: \"{}\"", scalar.text);
                self.wrong_type("text", Some(hint), report)
            }
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => self.wrong_type("text", None, report),
        }
    }

    /// Text, or a number without quotes where users write numbers.
    pub(crate) fn text_or_number(&self, report: &mut Report<'_>) -> Option<&'t str> {
        match &self.node.value {
            Value::Scalar(scalar) if number(scalar).is_some() => Some(&scalar.text),
            _ => self.text(report),
        }
    }

    pub(crate) fn texts(&self, report: &mut Report<'_>) -> Vec<String> {
        let items = self.items(report);
        items.iter().filter_map(|item| item.text(report).map(str::to_owned)).collect()
    }

    /// A number within bounds, which are part of the message.
    pub(crate) fn number(&self, from: i64, to: i64, report: &mut Report<'_>) -> Option<i64> {
        let found = match &self.node.value {
            Value::Scalar(scalar) => number(scalar),
            _ => None,
        };
        let Some(found) = found else {
            let hint = format!("write a number from {from} to {to}, without quotes");
            return self.wrong_type("a whole number", Some(hint), report);
        };
        if (from..=to).contains(&found) {
            return Some(found);
        }
        let message = format!("{found} is out of range");
        let hint = format!("write a number from {from} to {to}");
        report.error("invalid-value", self, message, Some(hint));
        None
    }

    pub(crate) fn truth(&self, report: &mut Report<'_>) -> Option<bool> {
        let written = match &self.node.value {
            Value::Scalar(scalar) if scalar.plain => scalar.text.to_ascii_lowercase(),
            _ => String::new(),
        };
        match written.as_str() {
            // YAML 1.1 had the others, and so have the decoders of deployed policies.
            "true" | "yes" | "y" | "on" => Some(true),
            "false" | "no" | "n" | "off" => Some(false),
            _ => {
                let hint = "write `true` or `false`, without quotes".to_owned();
                self.wrong_type("a truth value", Some(hint), report)
            }
        }
    }

    /// What the text stands for in a table of names, which `same` compares; an error if it is none of them.
    pub(crate) fn one_of<T: Copy>(
        &self,
        known: &[(&str, T)],
        what: &str,
        same: fn(&str, &str) -> bool,
        report: &mut Report<'_>,
    ) -> Option<T> {
        let text = self.text(report)?;
        let found = known.iter().find(|(name, _)| same(name, text)).map(|(_, value)| *value);
        if found.is_none() {
            self.unknown_name(text, what, known.iter().map(|(name, _)| *name), report);
        }
        found
    }

    /// Reports that `written` is none of the names of `what`.
    pub(crate) fn unknown_name<'n>(
        &self,
        written: &str,
        what: &str,
        names: impl IntoIterator<Item = &'n str>,
        report: &mut Report<'_>,
    ) {
        let message = format!("`{}` is not {what}", shortened(written));
        let hint = if report.is_full() { None } else { did_you_mean(written, names) };
        report.error("invalid-value", self, message, hint);
    }

    fn wrong_type<T>(
        &self,
        expected: &str,
        hint: Option<String>,
        report: &mut Report<'_>,
    ) -> Option<T> {
        let found = match &self.node.value {
            Value::Map(_) => "a mapping".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Scalar(scalar) if scalar.is_null() => "nothing".to_owned(),
            Value::Scalar(Scalar { text, plain: true }) => format!("`{}`", shortened(text)),
            Value::Scalar(Scalar { text, plain: false }) => format!("\"{}\"", shortened(text)),
        };
        let message = format!("wrong type: {found} stands where {expected} is expected");
        report.error("wrong-type", self, message, hint);
        None
    }
}

/// The fields of a mapping. Each name that is asked for is a known one; [`Fields::finish`] warns of the others.
pub(crate) struct Fields<'t> {
    map: &'t Map,
    at: Position,
    pub path: String,
    known: Vec<&'static str>,
}

impl<'t> Fields<'t> {
    /// The field's value; `None` if it is not written, or written without a value (which is warned of).
    pub(crate) fn get(&mut self, key: &'static str, report: &mut Report<'_>) -> Option<Field<'t>> {
        self.known.push(key);
        let written = self.written(key);
        if let (None, Some(node)) = (&written, self.map.get(key)) {
            let field = Field { node, path: self.path_of(key) };
            let hint = "leave the field out, or give it a value";
            report.warning("empty-value", &field, "has no value and counts as absent", hint);
        }
        written
    }

    /// As [`Fields::get`], for a second look at a field.
    pub(crate) fn written(&self, key: &str) -> Option<Field<'t>> {
        let field = Field { node: self.map.get(key)?, path: self.path_of(key) };
        let is_null = matches!(&field.node.value, Value::Scalar(scalar) if scalar.is_null());
        (!is_null).then_some(field)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.map.entries.is_empty()
    }

    /// All entries of a mapping whose keys are the user's own (labels).
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'t str, Field<'t>)> {
        self.map.entries.iter().map(|entry| {
            (entry.key.as_str(), Field { node: &entry.value, path: self.path_of(&entry.key) })
        })
    }

    pub(crate) fn text(
        &mut self,
        key: &'static str,
        report: &mut Report<'_>,
    ) -> Option<(Field<'t>, &'t str)> {
        let field = self.get(key, report)?;
        let text = field.text(report)?;
        Some((field, text))
    }

    /// False if it is not written.
    pub(crate) fn truth(&mut self, key: &'static str, report: &mut Report<'_>) -> bool {
        self.get(key, report).and_then(|field| field.truth(report)).unwrap_or(false)
    }

    pub(crate) fn items(&mut self, key: &'static str, report: &mut Report<'_>) -> Vec<Field<'t>> {
        self.get(key, report).map(|field| field.items(report)).unwrap_or_default()
    }

    pub(crate) fn error(
        &self,
        code: &'static str,
        message: impl Into<String>,
        hint: &str,
        report: &mut Report<'_>,
    ) {
        let place = (self.at, self.path.as_str());
        report.add(Severity::Error, code, place, message, Some(hint.to_owned()));
    }

    pub(crate) fn warning(
        &self,
        code: &'static str,
        message: impl Into<String>,
        hint: &str,
        report: &mut Report<'_>,
    ) {
        let place = (self.at, self.path.as_str());
        report.add(Severity::Warning, code, place, message, Some(hint.to_owned()));
    }

    /// Warns of every field that nobody asked for.
    pub(crate) fn finish(self, report: &mut Report<'_>) {
        for entry in &self.map.entries {
            if !report.is_full() && !self.known.contains(&entry.key.as_str()) {
                let path = self.path_of(&entry.key);
                let hint = did_you_mean(&entry.key, self.known.iter().copied());
                let message = "is no field of this place and is passed over";
                report.add(Severity::Warning, "unknown-field", (entry.at, &path), message, hint);
            }
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// Warns of every key written twice, at any depth.
pub(crate) fn warn_of_repeated_keys(field: &Field<'_>, report: &mut Report<'_>) {
    match &field.node.value {
        Value::Scalar(_) => {}
        Value::List(_) => {
            let items = field.items(report);
            for item in &items {
                warn_of_repeated_keys(item, report);
            }
        }
        Value::Map(map) => {
            let Some(fields) = field.fields(report) else { return };
            for repeated in &map.repeated {
                let path = fields.path_of(&repeated.key);
                let message = format!(
                    "is written again; only the last one counts (first on line {})",
                    repeated.first.line
                );
                let hint = Some("merge the two, or delete one".to_owned());
                let place = (repeated.at, path.as_str());
                report.add(Severity::Warning, "duplicate-key", place, message, hint);
            }
            fields.all().for_each(|(_, field)| warn_of_repeated_keys(&field, report));
        }
    }
}

/// Whether YAML reads a plain word as a number or a truth value.
fn is_typed(text: &str) -> bool {
    let float = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
            && text.contains(|c: char| c.is_ascii_digit())
            && text.parse::<f64>().is_ok()
    };
    integer(text).is_some()
        || matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
        || matches!(text, "" | "~" | "null" | "Null" | "NULL")
        || float(text)
}

fn number(scalar: &Scalar) -> Option<i64> {
    if scalar.plain { integer(&scalar.text) } else { None }
}

fn integer(text: &str) -> Option<i64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok();
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return i64::from_str_radix(digits, 8).ok();
    }
    text.parse().ok()
}

/// Enough of a text to recognise it in a message.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut out: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    out
}
