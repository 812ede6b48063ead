//! `docs/policy-reference.md`: every field of the language, what it means, an example and a behaviour case.

use std::fmt::Write as _;

use policy::{
    Kind,
    description::{Field, Object, Presence, Spelling, Value as Content, every_field},
};
use ruleset::{EnforcerKind, account};

use super::{crds, status};

const INTRODUCTION: &str = include_str!("introduction.md");
const DIFFERENCES: &str = include_str!("differences.md");
const PENDING: &str = include_str!("../../../test/cases/pending.txt");
/// Longer lists of names are not recited.
const LISTED: usize = 48;

/// The whole page.
pub(super) fn text() -> String {
    let fields = entries();
    let mut page = INTRODUCTION.to_owned();
    page.push_str(&kinds());
    let mut outlined = Vec::new();
    for kind in Kind::ALL {
        let _ = writeln!(page, "\n## Fields of {kind}\n");
        outline(kind.spec(), 0, &fields, &mut outlined, &mut page);
        outlined.extend(kind.spec().fields.iter().copied());
    }
    page.push_str("\n## Every field\n");
    for described in &fields {
        page.push_str(&section(described));
    }
    page.push_str(&state());
    page.push_str(DIFFERENCES);
    page
}

/// A field with all its places, the outermost first.
struct Entry {
    field: &'static Field,
    kinds: Vec<Kind>,
    places: Vec<String>,
    heading: String,
    /// Why it is accepted and not enforced.
    pending: Option<String>,
}

impl Entry {
    /// Whether every level of a policy may write it.
    fn is_attribute(&self) -> bool {
        let outermost = self.places.first().map_or(0, |place| place.matches('.').count());
        self.kinds.len() == Kind::ALL.len() && outermost == 1 && self.field.object().is_none()
    }

    fn link(&self) -> String {
        let entry = if self.field.value.is_list() { "[]" } else { "" };
        format!("[`{}{entry}`](#{})", self.field.name, anchor(&self.heading))
    }
}

fn entries() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for described in every_field() {
        let mut places: Vec<String> = Vec::new();
        let mut kinds: Vec<Kind> = Vec::new();
        for (kind, place) in described.places {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places.sort_by_key(|place| place.matches('.').count());
        let mut heading = places.first().cloned().unwrap_or_default();
        // One place may have a field of each kind.
        if entries.iter().any(|other| other.heading == heading)
            && let Some(kind) = kinds.first()
        {
            let _ = write!(heading, " of {kind}");
        }
        let pending = pending(described.field, kinds.first().copied());
        entries.push(Entry { field: described.field, kinds, places, heading, pending });
    }
    entries
}

/// A field is pending if nothing of its example is enforced, or if its case waits.
fn pending(field: &Field, kind: Option<Kind>) -> Option<String> {
    let indented = field.example.replace('\n', "\n  ");
    let example = format!("kind: {}\nmetadata: {{name: example}}\nspec:\n  {indented}\n", kind?);
    let policies = policy::parse(&example, field.name).policies;
    let rules = policies.first().map(|policy| account(policy, EnforcerKind::Bpf));
    let rules = rules.filter(|rules| rules.iter().all(|rule| !rule.holds_in_part));
    let reason = rules.iter().flatten().find_map(|rule| rule.standing.reason());
    reason.map(str::to_owned).or_else(|| waiting(field.case))
}

/// Why a case waits, of those that do.
pub(super) fn waiting(case: &str) -> Option<String> {
    let lines = PENDING.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(name, _)| *name == case).map(|(_, reason)| reason.to_owned()).next()
}

fn kinds() -> String {
    let mut table = String::from(
        "\n## Kinds\n\n| kind | plural | short | scope | what it concerns |\n|---|---|---|---|---|\n",
    );
    for kind in Kind::ALL {
        let concerns = match kind {
            Kind::Container => "containers of its namespace",
            Kind::Cluster => "containers of the namespaces it selects; its `Block` is final",
            Kind::Host => "programs of a node outside of containers",
            Kind::Network => "traffic of a node; quotas of pods",
        };
        let (plural, short, scope) =
            (crds::plural(kind), crds::short_name(kind), crds::scope(kind));
        let _ = writeln!(table, "| `{kind}` | `{plural}` | `{short}` | {scope} | {concerns} |");
    }
    table
}

/// The fields as a nested list: attributes in one line, and without what is below fields that were outlined before.
fn outline(
    object: &Object,
    depth: usize,
    all: &[Entry],
    outlined: &mut Vec<&'static Field>,
    page: &mut String,
) {
    let indent = "  ".repeat(depth);
    let described = |field: &&'static Field| all.iter().find(|d| std::ptr::eq(d.field, *field));
    let (attributes, others): (Vec<_>, Vec<_>) =
        object.fields.iter().filter_map(described).partition(|described| described.is_attribute());
    for described in others {
        let field = described.field;
        let pending = if described.pending.is_some() { ", not enforced yet" } else { "" };
        let needed = if field.presence == Presence::Optional { "" } else { ", needed" };
        let inner = field.object().filter(|_| !outlined.iter().any(|f| std::ptr::eq(*f, field)));
        let above = if inner.is_none() && field.object().is_some() { ", as above" } else { "" };
        let _ = writeln!(
            page,
            "{indent}- {}: {}{needed}{pending}{above}",
            described.link(),
            holds(&field.value)
        );
        if let Some(inner) = inner {
            outline(inner, depth + 1, all, outlined, page);
        }
    }
    let links: Vec<String> = attributes.into_iter().map(Entry::link).collect();
    if !links.is_empty() {
        let _ = writeln!(page, "{indent}- {}", links.join(", "));
    }
}

/// How a heading is called in links: letters and digits in lower case, spaces as hyphens.
pub(super) fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

fn section(described: &Entry) -> String {
    let Entry { field, kinds, places, heading, pending } = described;
    let mut text = format!("\n### {heading}\n\n{}\n", field.meaning);
    let mut facts = vec![holds(&field.value)];
    if field.presence != Presence::Optional {
        facts.push("needed".to_owned());
    }
    if !field.default.is_empty() {
        facts.push(format!("default: {}", field.default));
    }
    let _ = write!(text, "\n{}.", capitalised(&facts.join("; ")));
    if let Some(names) = allowed(&field.value) {
        let _ = write!(text, " Allowed: {names}.");
    }
    if kinds.len() < Kind::ALL.len() {
        let kinds: Vec<String> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
        let _ = write!(text, " In {}.", kinds.join(", "));
    }
    if let [_, others @ ..] = places.as_slice()
        && !others.is_empty()
        && !described.is_attribute()
    {
        let others: Vec<String> = others.iter().map(|place| format!("`{place}`")).collect();
        let _ = write!(text, " Also {}.", others.join(", "));
    }
    if let Some(reason) = pending {
        let _ = write!(text, "\n\n**Accepted, not enforced yet**: {reason}.");
    }
    let example = field.example.replace('\n', "\n  ");
    let case = field.case;
    let shows = match (pending, waiting(case)) {
        (None, _) => "",
        (Some(_), None) => " (shows that it is read)",
        (Some(_), Some(_)) => " (waits until it is enforced)",
    };
    let _ =
        write!(text, "\n\n```yaml\nspec:\n  {example}\n```\n\nBehaviour case: `{case}`{shows}\n");
    text
}

fn holds(content: &Content) -> String {
    match content {
        Content::Text | Content::Of(_) => "text".to_owned(),
        Content::Path => "a path".to_owned(),
        Content::Name(_, Spelling::CommaList) => "a name or several".to_owned(),
        Content::Name(_, Spelling::UncheckedOrNumber) => "a name or a number".to_owned(),
        Content::Name(..) => "a name".to_owned(),
        Content::NumberOrText(_) => "a number or text".to_owned(),
        Content::Number { least: Some(least), most: Some(most) } => {
            format!("a number from {least} to {most}")
        }
        Content::Number { .. } => "a number".to_owned(),
        Content::Truth | Content::NullableTruth => "`true` or `false`".to_owned(),
        Content::Labels => "keys and values".to_owned(),
        Content::List(entry) => match **entry {
            Content::Object(_) => "a list of fields".to_owned(),
            Content::Path => "a list of paths".to_owned(),
            _ => "a list of texts".to_owned(),
        },
        Content::Object(_) => "fields".to_owned(),
    }
}

fn allowed(content: &Content) -> Option<String> {
    let Content::Name(names, _) = content else { return None };
    let names: Vec<String> = names().into_iter().map(|name| format!("`{name}`")).collect();
    (names.len() <= LISTED).then(|| names.join(", "))
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

fn state() -> String {
    let mut text = "\n## What became of a policy\n\n\
         `karmor probe` and the answer to `karmor vm policy add` tell the state of each policy, with reasons. In \
         Kubernetes the controller writes it into the object's `status`:\n\n| field | content |\n|---|---|\n"
        .to_owned();
    for (name, meaning) in status::FIELDS {
        let _ = writeln!(text, "| `status.{name}` | {meaning} |");
    }
    let states: Vec<String> = status::STATES.iter().map(|state| format!("`{state}`")).collect();
    let words: Vec<String> = status::WORDS.iter().map(|word| format!("`{word}`")).collect();
    let (states, words) = (states.join(", "), words.join(", "));
    let _ =
        writeln!(text, "\nStates on a node: {states}. The word for all nodes may also be {words}.");
    text
}
