//! The `device` section of host policies.

use super::{Entry, entries, missing};
use crate::{
    DeviceRule,
    attributes::Level,
    reader::{Field, Fields, Report},
    suggestion::did_you_mean,
};

/// USB class names. Source: the class codes of the USB specification.
pub(crate) const CLASSES: [&str; 25] = [
    "AUDIO",
    "COMMUNICATION-CDC",
    "HID",
    "PHYSICAL",
    "IMAGE",
    "PRINTER",
    "MASS-STORAGE",
    "HUB",
    "CDC-DATA",
    "SMART-CARD",
    "CONTENT-SECURITY",
    "VIDEO",
    "PERSONAL-HEALTHCARE",
    "AUDIO/VIDEO",
    "BILLBOARD",
    "TYPE-C-BRIDGE",
    "BULK-DISPLAY",
    "MCTP",
    "I3C",
    "DIAGNOSTIC",
    "WIRELESS-CONTROLLER",
    "MISCELLANEOUS",
    "APPLICATION-SPECIFIC",
    "VENDOR-SPECIFIC",
    "ALL",
];

pub(crate) fn read(field: &Field<'_>, spec: &Level, report: &mut Report<'_>) -> Vec<DeviceRule> {
    let Some(mut fields) = field.fields(report) else { return Vec::new() };
    let level = spec.refined(&mut fields, report);
    let mut rules = Vec::new();
    for entry in entries(&mut fields, "matchDevice", &level, report) {
        rules.extend(device_rule(entry, report));
    }
    fields.finish(report);
    rules
}

fn device_rule(entry: Entry<'_>, report: &mut Report<'_>) -> Option<DeviceRule> {
    let Entry { mut fields, place, level } = entry;
    let class = class(&mut fields, report);
    let sub_class = number(&mut fields, "subClass", i32::MIN, report);
    let protocol = number(&mut fields, "protocol", i32::MIN, report);
    let port_level = number(&mut fields, "level", 1, report);
    fields.finish(report);
    let attributes = level.resolved();
    class.map(|class| DeviceRule {
        place,
        attributes,
        class,
        sub_class,
        protocol,
        level: port_level,
    })
}

fn class(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<String> {
    let Some(field) = fields.get("class", report) else {
        missing(fields, "class", "- class: MASS-STORAGE", report);
        return None;
    };
    let text = field.text_or_number(report)?;
    if text.is_empty() {
        missing(fields, "class", "- class: MASS-STORAGE", report);
        return None;
    }
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    if number.is_none() && !CLASSES.iter().any(|name| name.eq_ignore_ascii_case(text)) {
        let message = format!("`{text}` can never match: it is no class of USB devices");
        let hint = did_you_mean(text, CLASSES);
        let hint = hint.unwrap_or_else(|| "write a class such as `HID`, or its number".to_owned());
        report.warning("never-matches", &field, message, hint);
    }
    Some(text.to_owned())
}

/// The devices' own numbers have one byte each; the field may hold more.
fn number(
    fields: &mut Fields<'_>,
    key: &'static str,
    least: i32,
    report: &mut Report<'_>,
) -> Option<i32> {
    let field = fields.get(key, report)?;
    let number = i32::try_from(field.number(least.into(), i32::MAX.into(), report)?).ok()?;
    if u8::try_from(number).is_err() {
        let message = format!("{number} can never match: it does not fit into a byte");
        report.warning("never-matches", &field, message, "write a number up to 255");
    }
    Some(number)
}
