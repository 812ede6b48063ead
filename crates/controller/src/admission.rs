//! Validating admission: what an API server asks about an object, and the verdict.
//!
//! The questions are `admission.k8s.io/v1`: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>.
//! A policy is judged alone, as `karmor policy lint` judges a file that holds nothing else: a verdict that went by what
//! else lies in the cluster would depend on the order in which things are applied. Nothing is kept, so a dry run
//! is a question like any other.

mod review;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use lint::{Finding, Level, Options, Source, lint};
use policy::{Diagnostic, Kind};
use serde_json::Value;

pub use self::review::{Answer, ReviewError};
use self::review::{Question, read};

/// The group whose objects are judged.
const GROUP: &str = "security.kubearmor.com";
/// Findings that a refusal spells out; the others are counted.
const SPELLED_OUT: usize = 10;
/// An API server cuts warnings off that have more characters, once all of them together are long:
/// <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response>.
const LONGEST_WARNING: usize = 256;
/// Characters of all warnings together that an API server passes on.
const ALL_WARNINGS: usize = 4096;

/// What is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// Whatever `karmor policy lint` calls an error.
    #[default]
    Lint,
    /// What agents cannot take; the rest of the errors are warnings. For clusters whose policies are older than this.
    Unreadable,
}

impl std::str::FromStr for Strictness {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "lint" => Ok(Self::Lint),
            "unreadable" => Ok(Self::Unreadable),
            _ => Err(format!("`{text}` is neither `lint` nor `unreadable`")),
        }
    }
}

/// How a question was answered, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    Allowed,
    /// Allowed, with something to say about it.
    Warned,
    Refused,
    /// No policy, or nothing that changes what one means.
    NotConcerned,
}

impl Verdict {
    pub const ALL: [Self; 4] = [Self::Allowed, Self::Warned, Self::Refused, Self::NotConcerned];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Warned => "warned",
            Self::Refused => "refused",
            Self::NotConcerned => "not_concerned",
        }
    }
}

/// Answers the `AdmissionReview` in `body`.
pub fn answer(body: &[u8], strictness: Strictness) -> Result<Answer, ReviewError> {
    let Question { uid, group, kind, operation, subresource, object, old } = read(body)?;
    let kind = Kind::parse(&kind).filter(|_| group == GROUP && subresource.is_empty());
    let (Some(kind), Some(object)) = (kind, object) else {
        return Ok(Answer::allow(uid, Verdict::NotConcerned));
    };
    // Labels, annotations and finalizers of what lies in the cluster must stay changeable, whatever it says.
    let same_spec = old.is_some_and(|old| old.get("spec") == object.get("spec"));
    if operation == "DELETE" || (operation == "UPDATE" && same_spec) {
        return Ok(Answer::allow(uid, Verdict::NotConcerned));
    }
    let Judgement { mut fatal, faults, mut warnings } = judge(kind, object);
    match strictness {
        Strictness::Lint => fatal.extend(faults),
        Strictness::Unreadable => warnings.splice(..0, faults).for_each(drop),
    }
    if !fatal.is_empty() {
        return Ok(Answer::refuse(uid, refusal(&fatal)));
    }
    let verdict = if warnings.is_empty() { Verdict::Allowed } else { Verdict::Warned };
    Ok(Answer { warnings: shortened(warnings), ..Answer::allow(uid, verdict) })
}

/// How a policy that lies in a cluster stands, however it got there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Accepted {
        /// What admission would have refused it for, unless told otherwise.
        faults: Vec<String>,
    },
    /// No agent takes it, for these reasons.
    Rejected(Vec<String>),
}

impl Standing {
    pub fn of(kind: Kind, object: Value) -> Self {
        let Judgement { fatal, faults, .. } = judge(kind, object);
        if fatal.is_empty() { Self::Accepted { faults } } else { Self::Rejected(fatal) }
    }
}

/// What there is to say about an object.
struct Judgement {
    /// Agents do not take it.
    fatal: Vec<String>,
    /// Lint calls it an error, and agents take it all the same.
    faults: Vec<String>,
    warnings: Vec<String>,
}

fn judge(kind: Kind, object: Value) -> Judgement {
    let text = policy_text(kind, object);
    let diagnostics = policy::parse(&text, "").diagnostics;
    let source = Source { name: String::new(), text, named: true };
    let mut judgement = Judgement { fatal: Vec::new(), faults: Vec::new(), warnings: Vec::new() };
    for finding in lint(&[source], &Options::default()).findings {
        let list = match finding.level {
            Level::Error if is_fatal(&finding, &diagnostics) => &mut judgement.fatal,
            Level::Error => &mut judgement.faults,
            Level::Warning => &mut judgement.warnings,
            Level::Note => continue,
        };
        list.push(said(&finding));
    }
    judgement
}

/// Whether agents refuse the policy for what `finding` says.
fn is_fatal(finding: &Finding, diagnostics: &[Diagnostic]) -> bool {
    let mut errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
    finding.code == "does-not-fit"
        || finding.code == "no-policy"
        || errors.any(|error| (error.code, &error.field) == (finding.code, &finding.field))
}

/// The object as its author could have written it, in the terms of the kind that was asked about.
fn policy_text(kind: Kind, mut object: Value) -> String {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        fields.insert("kind".to_owned(), kind.as_str().into());
        fields.insert("apiVersion".to_owned(), format!("{GROUP}/v1").into());
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
            // An API server makes the name of it, and may ask before it has.
            if !metadata.contains_key("name")
                && let Some(prefix) = metadata.get("generateName").cloned()
            {
                metadata.insert("name".to_owned(), prefix);
            }
        }
    }
    object.to_string()
}

/// `spec.file.matchPaths[0].path: ... [invalid-value]; write ...`. Lines and columns would be those of a text that nobody
/// wrote.
fn said(finding: &Finding) -> String {
    let Finding { field, message, code, hint, .. } = finding;
    let place = if field.is_empty() { String::new() } else { format!("{field}: ") };
    let hint = hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"));
    format!("{place}{message} [{code}]{hint}")
}

fn refusal(errors: &[String]) -> String {
    let mut text = errors[..errors.len().min(SPELLED_OUT)].join("\n");
    if errors.len() > SPELLED_OUT {
        let more = errors.len() - SPELLED_OUT;
        let _ = write!(text, "\nand {more} more: see `karmor policy lint`");
    }
    text
}

/// As many as API servers pass on; the last one says how many are missing.
fn shortened(warnings: Vec<String>) -> Vec<String> {
    let characters = |text: &String| text.chars().count();
    if warnings.iter().map(characters).sum::<usize>() <= ALL_WARNINGS {
        return warnings;
    }
    let total = warnings.len();
    let mut left = ALL_WARNINGS - LONGEST_WARNING;
    let mut kept: Vec<String> = Vec::new();
    for warning in warnings.into_iter().map(cut) {
        let Some(rest) = left.checked_sub(characters(&warning)) else { break };
        left = rest;
        kept.push(warning);
    }
    if kept.len() < total {
        kept.push(format!("and {} more: see `karmor policy lint`", total - kept.len()));
    }
    kept
}

fn cut(text: String) -> String {
    if text.chars().count() <= LONGEST_WARNING {
        return text;
    }
    let mut short: String = text.chars().take(LONGEST_WARNING - 1).collect();
    short.push('…');
    short
}
