//! The `presets` list.

use super::missing;
use crate::{
    Action, Attributes, Place, Preset, PresetRule,
    attributes::Level,
    reader::{Field, Fields, Report},
};

impl Preset {
    pub const ALL: [Self; 5] = [
        Self::AnonymousMapExec,
        Self::FilelessExec,
        Self::ProtectEnv,
        Self::Exec,
        Self::ProtectProc,
    ];

    /// The name that policies write.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AnonymousMapExec => "anonymousMapExec",
            Self::FilelessExec => "filelessExec",
            Self::ProtectEnv => "protectEnv",
            Self::Exec => "exec",
            Self::ProtectProc => "protectProc",
        }
    }
}

pub(crate) fn read(
    spec_fields: &mut Fields<'_>,
    spec: &Level,
    report: &mut Report<'_>,
) -> Vec<PresetRule> {
    let mut rules = Vec::new();
    for item in spec_fields.items("presets", report) {
        let Some(mut fields) = item.fields(report) else { continue };
        let attributes = spec.with_action(&mut fields, report).resolved();
        if attributes.action == Action::Allow {
            warn_of_allow(&item, &fields, report);
        }
        let preset = name(&mut fields, report);
        fields.finish(report);
        let action = match attributes.action {
            Action::Audit => Action::Audit,
            Action::Allow | Action::Block => Action::Block,
        };
        rules.extend(preset.map(|preset| PresetRule {
            place: Place(item.path.clone()),
            attributes: Attributes { action, ..attributes },
            preset,
        }));
    }
    rules
}

/// Where `Allow` is written, or the preset that inherits it.
fn warn_of_allow(item: &Field<'_>, fields: &Fields<'_>, report: &mut Report<'_>) {
    let written = fields.written("action");
    let written = written.filter(|field| field.text(report).and_then(Action::parse).is_some());
    let message = match &written {
        Some(_) => "a preset allows nothing: `Allow` counts as `Block` here",
        None => "a preset allows nothing: the `Allow` of the spec counts as `Block` here",
    };
    let hint = "write `action: Block`, or `Audit`, for the preset";
    report.warning("ignored-value", written.as_ref().unwrap_or(item), message, hint);
}

fn name(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<Preset> {
    let Some(field) = fields.get("name", report) else {
        missing(fields, "name", "- name: filelessExec", report);
        return None;
    };
    let text = field.text(report)?;
    let preset = Preset::ALL.into_iter().find(|preset| preset.as_str() == text);
    if preset.is_none() {
        field.unknown_name(text, "a preset", Preset::ALL.map(Preset::as_str), report);
    }
    preset
}
