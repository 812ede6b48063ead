//! The language as data: every field that a policy may have, what it holds, what it means, an example, and the
//! behaviour case that shows it at work.
//!
//! The custom resource definitions and the policy reference are written from this (`cargo xtask codegen`). Tests
//! hold it to the reader: both know the same fields, and every example is read without a finding.

mod device;
mod firewall;
mod network;
mod path;
mod selector;
mod spec;
mod syscall;

use crate::Kind;

/// One field. The same field of several places is one value.
#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub value: Value,
    pub presence: Presence,
    /// What counts where it is not written; empty if nothing does.
    pub default: &'static str,
    pub meaning: &'static str,
    /// A `spec` that uses it, for the first kind that has the field.
    pub example: &'static str,
    /// A behaviour case whose policies use it.
    pub case: &'static str,
}

/// Whether a field may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Optional,
    /// The agent refuses what lacks it. API servers take it, as they do where the existing definitions are installed.
    Needed,
    /// API servers refuse what lacks it, and so does the agent.
    Demanded,
}

/// What a field holds.
#[derive(Debug)]
pub enum Value {
    Text,
    /// A path or a directory; never empty.
    Path,
    /// A text in which each character is one of a set, as the inside of `[...]` in a regular expression.
    Of(&'static str),
    /// One of several names.
    Name(fn() -> Vec<String>, Spelling),
    /// A number, or text that matches the regular expression (an empty one leaves it to the agent).
    NumberOrText(&'static str),
    Number {
        least: Option<i64>,
        most: Option<i64>,
    },
    Truth,
    /// Like [`Value::Truth`], and an explicit `null` is the same as no field.
    NullableTruth,
    /// Keys and values of the author's choice.
    Labels,
    List(&'static Self),
    Object(&'static Object),
}

/// How names are compared, which is what an API server can check before the agent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    Exact,
    AnyCase,
    /// In any letter case; the empty text is the same as no field.
    AnyCaseOrEmpty,
    /// Several names with commas between them, in any letter case.
    CommaList,
    /// The agent alone checks them.
    Unchecked,
    /// The agent alone checks them, and numbers stand for some.
    UncheckedOrNumber,
}

/// A mapping with fixed fields.
#[derive(Debug)]
pub struct Object {
    pub fields: &'static [&'static Field],
}

impl Field {
    const fn new(
        name: &'static str,
        value: Value,
        meaning: &'static str,
        example: &'static str,
        case: &'static str,
    ) -> Self {
        Self { name, value, presence: Presence::Optional, default: "", meaning, example, case }
    }

    const fn needed(mut self) -> Self {
        self.presence = Presence::Needed;
        self
    }

    const fn demanded(mut self) -> Self {
        self.presence = Presence::Demanded;
        self
    }

    const fn or_else(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    /// The mapping that the field holds, or the one that each entry of its list is.
    pub fn object(&self) -> Option<&'static Object> {
        self.value.object()
    }
}

impl Value {
    fn object(&self) -> Option<&'static Object> {
        match self {
            Self::Object(object) => Some(object),
            Self::List(entry) => entry.object(),
            _ => None,
        }
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        matches!(self, Self::List(_))
    }
}

impl Kind {
    /// The fields of `spec`.
    pub fn spec(self) -> &'static Object {
        match self {
            Self::Container => &spec::CONTAINER,
            Self::Cluster => &spec::CLUSTER,
            Self::Host => &spec::HOST,
            Self::Network => &spec::NETWORK,
        }
    }

    /// Every field with its place, written `spec.file.matchPaths[].path`; outer ones first.
    pub fn fields(self) -> Vec<(String, &'static Field)> {
        fn walk(object: &Object, at: &str, found: &mut Vec<(String, &'static Field)>) {
            for field in object.fields {
                let place = format!("{at}.{}", field.name);
                found.push((place.clone(), field));
                if let Some(inner) = field.object() {
                    let entry = if field.value.is_list() { "[]" } else { "" };
                    walk(inner, &format!("{place}{entry}"), found);
                }
            }
        }
        let mut found = Vec::new();
        walk(self.spec(), "spec", &mut found);
        found
    }
}

/// A field with its places in each kind that has it.
#[derive(Debug)]
pub struct Described {
    pub field: &'static Field,
    pub places: Vec<(Kind, String)>,
}

impl Described {
    /// The first kind that has the field, of which its example is.
    pub fn kind(&self) -> Kind {
        self.places.first().map_or(Kind::Container, |(kind, _)| *kind)
    }
}

/// Every field of every kind, each once.
pub fn every_field() -> Vec<Described> {
    let mut found: Vec<Described> = Vec::new();
    for kind in Kind::ALL {
        for (place, field) in kind.fields() {
            match found.iter_mut().find(|known| std::ptr::eq(known.field, field)) {
                Some(known) => known.places.push((kind, place)),
                None => found.push(Described { field, places: vec![(kind, place)] }),
            }
        }
    }
    found
}
