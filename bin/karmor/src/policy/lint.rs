//! `karmor policy lint`: shows what `lint` finds, for people and for programs.

use std::{
    collections::HashMap,
    io::{self, Write},
    path::PathBuf,
};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use lint::{Finding, Level, Options, Report, Source};
use ruleset::EnforcerKind;

use super::files;
use crate::failure::{ERROR, HINT, Told};

const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const NOTE: Style = AnsiColor::Blue.on_default().bold();

/// Exit status: 0 no errors, 1 errors (or what --deny names), 2 wrong usage or a file that cannot be read
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 clean, 1 findings of the level error (or what --deny names), \
    2 wrong usage or a file that cannot be read"
)]
pub(crate) struct LintOptions {
    /// Files of YAML or JSON, directories with all their .yaml, .yml and .json, `-` for standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Also find rules that this enforcer cannot express
    #[arg(long, value_enum)]
    pub enforcer: Option<Enforcer>,
    /// Fail on these too
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub deny: Option<Deny>,
    /// Show no findings below this level; they are counted all the same
    #[arg(long, value_enum, default_value_t = Shown::Note, value_name = "LEVEL")]
    pub level: Shown,
    /// One JSON object
    #[arg(long, conflicts_with = "sarif")]
    pub json: bool,
    /// SARIF 2.1.0
    #[arg(long)]
    pub sarif: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Enforcer {
    Bpf,
    Apparmor,
    Selinux,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Deny {
    Warnings,
    /// And warnings
    Notes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shown {
    Note,
    Warning,
    Error,
}

pub(super) fn run(options: &LintOptions) -> anyhow::Result<()> {
    let sources = files::read(&options.paths)?;
    let enforcer = options.enforcer.map(|enforcer| match enforcer {
        Enforcer::Bpf => EnforcerKind::Bpf,
        Enforcer::Apparmor => EnforcerKind::AppArmor,
        Enforcer::Selinux => EnforcerKind::Selinux,
    });
    let report = lint::lint(&sources, &Options { enforcer });
    let fatal = match options.deny {
        None => Level::Error,
        Some(Deny::Warnings) => Level::Warning,
        Some(Deny::Notes) => Level::Note,
    };
    let failed = report.findings.iter().any(|finding| finding.level >= fatal);
    print(options, report, &sources)?;
    if failed { Err(Told.into()) } else { Ok(()) }
}

fn print(options: &LintOptions, report: Report, sources: &[Source]) -> io::Result<()> {
    let least = match options.level {
        Shown::Note => Level::Note,
        Shown::Warning => Level::Warning,
        Shown::Error => Level::Error,
    };
    let counts = counts(&report);
    let json = report.to_json()["summary"].take();
    let mut shown = report;
    shown.findings.retain(|finding| finding.level >= least);
    let mut out = io::BufWriter::new(AutoStream::auto(io::stdout()));
    if options.sarif {
        writeln!(out, "{:#}", shown.to_sarif(env!("CARGO_PKG_VERSION")))?;
    } else if options.json {
        let mut object = shown.to_json();
        object["summary"] = json;
        writeln!(out, "{object:#}")?;
    } else {
        text(&mut out, &shown, sources)?;
        writeln!(out, "{counts}")?;
    }
    out.flush()
}

fn text(out: &mut dyn Write, report: &Report, sources: &[Source]) -> io::Result<()> {
    let texts: HashMap<&str, &str> =
        sources.iter().map(|source| (source.name.as_str(), source.text.as_str())).collect();
    for finding in &report.findings {
        show(out, finding, texts.get(finding.file.as_str()).copied().unwrap_or_default())?;
    }
    for skipped in &report.skipped {
        let file = harmless(&skipped.file);
        writeln!(out, "skipped {file}:{}: {}", skipped.line, harmless(&skipped.reason))?;
    }
    if !report.skipped.is_empty() {
        writeln!(out)?;
    }
    Ok(())
}

fn show(out: &mut dyn Write, finding: &Finding, source: &str) -> io::Result<()> {
    let Finding { level, code, line, column, .. } = finding;
    let style = match level {
        Level::Error => ERROR,
        Level::Warning => WARNING,
        Level::Note => NOTE,
    };
    let gutter = " ".repeat(line.to_string().len());
    let field = harmless(&finding.field);
    let separator = if field.is_empty() { "" } else { ": " };
    let message = harmless(&finding.message);
    writeln!(out, "{style}{level}[{code}]{style:#}: {field}{separator}{message}")?;
    writeln!(out, "{gutter}--> {}:{line}:{column}", harmless(&finding.file))?;
    if let Some(excerpt) = policy::excerpt(source, *line, *column) {
        writeln!(out, "{excerpt}")?;
    }
    if let Some(hint) = &finding.hint {
        writeln!(out, "{gutter} = {HINT}hint:{HINT:#} {}", harmless(hint))?;
    }
    writeln!(out)
}

/// Names in policies are whatever their authors chose; they must not direct the terminal.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn counts(report: &Report) -> String {
    let plural = |count: usize, one: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    };
    let policies = match report.policies {
        1 => "1 policy".to_owned(),
        count => format!("{count} policies"),
    };
    let skipped = match report.skipped.len() {
        0 => String::new(),
        count => format!("; {} skipped", plural(count, "document")),
    };
    format!(
        "{policies} in {}: {}, {}, {}{skipped}",
        plural(report.files, "file"),
        plural(report.count(Level::Error), "error"),
        plural(report.count(Level::Warning), "warning"),
        plural(report.count(Level::Note), "note"),
    )
}
