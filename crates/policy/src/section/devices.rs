//! The `device` section of host policies.

use super::{Entry, entries, missing};
use crate::{
    DeviceRule,
    attributes::Level,
    reader::{Field, Fields, Report},
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
    let sub_class = number(&mut fields, "subClass", 0, report);
    let protocol = number(&mut fields, "protocol", 0, report);
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
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    if number.is_none() && !CLASSES.iter().any(|name| name.eq_ignore_ascii_case(text)) {
        field.unknown_name(text, "a device class", CLASSES, report);
        return None;
    }
    Some(text.to_owned())
}

fn number(
    fields: &mut Fields<'_>,
    key: &'static str,
    least: i64,
    report: &mut Report<'_>,
) -> Option<i32> {
    let field = fields.get(key, report)?;
    let number = field.number(least, 255, report)?;
    i32::try_from(number).ok()
}
