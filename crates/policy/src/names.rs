//! How selectors write the names of containers and hosts, and which of them are no names and no expressions either.

use regex::{Error, Regex};

use crate::reader::{Field, Report};

/// The labels of nodes whose values are expressions for the node's name.
pub const HOSTNAME_PATTERN_KEYS: [&str; 2] =
    ["kubearmor.io/hostnamereg", "kubernetes.io/hostnamereg"];

/// So many expressions of one list are tried out when a policy is read: each may be costly.
const MAX_TRIED: usize = 32;

/// One of the ways to satisfy a filter for the names of containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameChoice<'f> {
    Plain(&'f str),
    /// A regular expression for the whole name: see [`whole_name`].
    Expression(&'f str),
}

/// A name, a comma list, a bracketed list, or a regular expression for the whole name. Names in Kubernetes have no
/// character that would make them an expression, so nothing there changes its meaning. None at all stands for every
/// name.
pub fn name_choices(filter: &str) -> Vec<NameChoice<'_>> {
    let filter = filter.trim();
    let list = filter
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .filter(|inner| is_balanced(inner));
    let names = list.unwrap_or(filter).split(',').map(str::trim).filter(|name| !name.is_empty());
    let mut choices: Vec<_> = names
        .flat_map(|name| {
            let expression = (!is_plain_name(name)).then_some(NameChoice::Expression(name));
            std::iter::once(NameChoice::Plain(name)).chain(expression)
        })
        .collect();
    // A comma may also belong to the expression itself: `web-[0-9]{1,2}`.
    if list.is_none() && !is_plain_name(filter) && !choices.is_empty() {
        choices.push(NameChoice::Expression(filter));
    }
    choices
}

/// Every bracket that opens closes again: `[a, b-[0-9]+]` is a list, `[ab][0-9]` an expression.
fn is_balanced(inner: &str) -> bool {
    let depth = inner.chars().try_fold(0_usize, |depth, c| match c {
        '[' => Some(depth + 1),
        ']' => depth.checked_sub(1),
        _ => Some(depth),
    });
    depth == Some(0)
}

fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':');
    name.chars().all(plain)
}

/// The expression of a [`NameChoice`], which is about whole names.
pub fn whole_name(expression: &str) -> Result<Regex, Error> {
    Regex::new(&format!("^(?:{expression})$"))
}

/// The expression of a label of [`HOSTNAME_PATTERN_KEYS`], which is found anywhere in the name; `*` is any run.
pub fn host_pattern(value: &str) -> Result<Regex, Error> {
    Regex::new(&value.replace('*', ".*"))
}

/// Warns of a filter for containers if something in it is neither a name nor an expression.
pub(crate) fn check_containers(field: &Field<'_>, filter: &str, report: &mut Report<'_>) {
    let expressions: Vec<&str> = name_choices(filter)
        .into_iter()
        .filter_map(|choice| match choice {
            NameChoice::Expression(text) => Some(text),
            NameChoice::Plain(_) => None,
        })
        .collect();
    // What stands for the whole filter comes last. If it is one, its parts need not be.
    let Some(last) = expressions.last() else { return };
    if *last == filter.trim() && whole_name(last).is_ok() {
        return;
    }
    let mut tried = expressions.into_iter().take(MAX_TRIED);
    let broken = tried.find_map(|text| Some((text, whole_name(text).err()?)));
    if let Some((text, error)) = broken {
        let hint = "write a name, a list such as `[a, b]`, or a regular expression: `.*` is any run of characters";
        never(field, text, &error, hint, report);
    }
}

/// Warns of an expression for hosts that is none.
pub(crate) fn check_host_pattern(field: &Field<'_>, value: &str, report: &mut Report<'_>) {
    if let Err(error) = host_pattern(value) {
        let hint = "mend the regular expression; in it `*` alone is any run of characters";
        never(field, value, &error, hint, report);
    }
}

fn never(field: &Field<'_>, text: &str, error: &Error, hint: &str, report: &mut Report<'_>) {
    // Its last line says what is wrong, those before show where.
    let error = error.to_string();
    let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
    let message = format!("`{text}` can never match: it is no regular expression ({reason})");
    report.warning("never-matches", field, message, hint);
}
