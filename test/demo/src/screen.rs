//! What the audience sees: plain lines, coloured only on request.

use anstyle::{AnsiColor, Style};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();

#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    color: bool,
}

impl Screen {
    pub(crate) fn new(color: bool) -> Self {
        Self { color }
    }

    /// A new part begins.
    pub(crate) fn heading(self, text: &str) {
        println!("\n{}", self.styled(BOLD, &format!("== {text}")));
    }

    /// In the demonstration's own words.
    pub(crate) fn note(self, text: &str) {
        println!("{}", self.styled(DIM, text));
    }

    /// What is typed.
    pub(crate) fn command(self, line: &str) {
        println!("{} {line}", self.styled(BOLD, "$"));
    }

    pub(crate) fn permitted(self, text: &str) {
        println!("    {}", self.styled(GREEN, text));
    }

    pub(crate) fn refused(self, text: &str) {
        println!("    {}", self.styled(RED, text));
    }

    pub(crate) fn alert(self, text: &str) {
        println!("  {} {text}", self.styled(YELLOW, "ALERT"));
    }

    /// A text for the table.
    pub(crate) fn verdict(self, good: bool) -> String {
        if good { self.styled(GREEN, "ok") } else { self.styled(RED, "FAILED") }
    }

    fn styled(self, style: Style, text: &str) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// What a program answers.
pub(crate) fn said(line: &str) {
    println!("    {line}");
}
