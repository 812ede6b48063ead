//! `severity`, `tags`, `message` and `action`, each inherited on its own: rule, else section, else spec.

use crate::{
    Action, Attributes,
    reader::{Fields, Report},
};

/// The attributes that one level writes, over what the levels above it wrote.
#[derive(Clone, Default)]
pub(crate) struct Level {
    severity: Option<u8>,
    tags: Option<Vec<String>>,
    message: Option<String>,
    action: Option<Action>,
}

impl Level {
    /// What `fields` write; the rest from this level.
    pub(crate) fn refined(&self, fields: &mut Fields<'_>, report: &mut Report<'_>) -> Self {
        let severity = fields.get("severity", report).and_then(|field| {
            field.number(1, 10, report).and_then(|severity| u8::try_from(severity).ok())
        });
        let tags = fields.get("tags", report).map(|field| field.texts(report));
        let message = fields.text("message", report).map(|(_, text)| text.to_owned());
        Self {
            severity: severity.or(self.severity),
            tags: tags.filter(|tags| !tags.is_empty()).or_else(|| self.tags.clone()),
            message: message.filter(|text| !text.is_empty()).or_else(|| self.message.clone()),
            action: action(fields, report).or(self.action),
        }
    }

    /// Only the action of `fields`, for places that write no other attribute.
    pub(crate) fn with_action(&self, fields: &mut Fields<'_>, report: &mut Report<'_>) -> Self {
        Self { action: action(fields, report).or(self.action), ..self.clone() }
    }

    pub(crate) fn resolved(&self) -> Attributes {
        Attributes {
            severity: self.severity,
            tags: self.tags.clone().unwrap_or_default(),
            message: self.message.clone().unwrap_or_default(),
            action: self.action.unwrap_or(Action::Block),
        }
    }
}

impl Action {
    pub(crate) const ALL: [Self; 3] = [Self::Allow, Self::Audit, Self::Block];

    /// The name that policies and alerts write.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Audit => "Audit",
            Self::Block => "Block",
        }
    }

    /// Reads a name in any letter case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str().eq_ignore_ascii_case(name))
    }
}

fn action(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<Action> {
    let (field, text) = fields.text("action", report)?;
    // Generated manifests write the empty text for "as the level above".
    if text.is_empty() {
        return None;
    }
    let action = Action::parse(text);
    if action.is_none() {
        field.unknown_name(text, "an action", Action::ALL.map(Action::as_str), report);
    }
    action
}
