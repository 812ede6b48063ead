//! What is wrong with a policy text, where, and what to do about it.

use std::fmt::{self, Write as _};

/// Whether the policy can be applied in spite of a [`Diagnostic`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The policy is accepted; `lint` calls it a fault all the same.
    Warning,
    /// Nothing of the policy is applied.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One finding about one value of a policy text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    pub severity: Severity,
    /// A stable name of the kind of finding, such as `unknown-field`.
    pub code: &'static str,
    pub message: String,
    /// The file as the caller of [`crate::parse`] called it.
    pub file: String,
    /// Counts from 1.
    pub line: usize,
    /// Counts characters from 1.
    pub column: usize,
    /// The field as users write it: `spec.file.matchPaths[2].action`. Empty for the whole document.
    pub field: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Diagnostic {
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The finding with the line of `source` that it is about, for a terminal.
    pub fn render(&self, source: &str) -> String {
        let Self { severity, code, file, line, column, .. } = self;
        let gutter = " ".repeat(line.to_string().len());
        let mut out = format!("{severity}[{code}]: {}", self.subject());
        let _ = write!(out, "\n{gutter}--> {file}:{line}:{column}");
        if let Some(excerpt) = excerpt(source, *line, *column) {
            let _ = write!(out, "\n{excerpt}");
        }
        if let Some(hint) = &self.hint {
            let _ = write!(out, "\n{gutter} = hint: {hint}");
        }
        out
    }

    fn subject(&self) -> String {
        if self.field.is_empty() {
            self.message.clone()
        } else {
            format!("{}: {}", self.field, self.message)
        }
    }
}

/// A line of a text with a mark below the column. Characters that would direct the terminal are replaced.
pub fn excerpt(source: &str, line: usize, column: usize) -> Option<String> {
    let text = source.lines().nth(line.checked_sub(1)?)?;
    let gutter = " ".repeat(line.to_string().len());
    // A tab stays a tab in the second line, so that the mark stands under its character.
    let indent: String = text
        .chars()
        .take(column.saturating_sub(1))
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    let harmless = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    let text: String = text.chars().map(harmless).collect();
    Some(format!("{gutter} |\n{line} | {text}\n{gutter} | {indent}^"))
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, code, file, line, column, .. } = self;
        write!(f, "{file}:{line}:{column}: {severity}[{code}]: {}", self.subject())?;
        self.hint.iter().try_for_each(|hint| write!(f, "\n  hint: {hint}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code: "invalid-value",
            message: "`Blok` is not an action".into(),
            file: "web.yaml".into(),
            line: 2,
            column: 10,
            field: "spec.action".into(),
            hint: Some("did you mean `Block`?".into()),
        }
    }

    #[test]
    fn one_line_and_a_hint() {
        assert_eq!(
            finding().to_string(),
            "web.yaml:2:10: error[invalid-value]: spec.action: `Blok` is not an action\n  \
             hint: did you mean `Block`?"
        );
    }

    #[test]
    fn the_source_line_with_a_caret() {
        assert_eq!(
            finding().render("spec:\n\taction: Blok\n"),
            "error[invalid-value]: spec.action: `Blok` is not an action\n --> web.yaml:2:10\n  |\n\
             2 | \taction: Blok\n  | \t        ^\n  = hint: did you mean `Block`?"
        );
    }

    #[test]
    fn a_line_outside_the_source_is_left_out() {
        let rendered = Diagnostic { line: 9, hint: None, ..finding() }.render("spec:\n");
        assert_eq!(rendered.lines().count(), 2);
    }
}
