//! The `device` section of host policies.

use super::{
    Field, Object, Spelling, Value,
    spec::{ACTION, MESSAGE, SEVERITY, TAGS},
};
use crate::section::devices::CLASSES;

pub(super) static DEVICE: Field = Field::new(
    "device",
    Value::Object(&Object { fields: &[&MATCH_DEVICE, &SEVERITY, &TAGS, &MESSAGE, &ACTION] }),
    "Rules on USB devices that are plugged in.",
    "nodeSelector:\n  matchLabels:\n    kubearmor.io/hostname: \"*\"\ndevice:\n  matchDevice:\n  - class: MASS-STORAGE",
    "device-fields",
);

static MATCH_DEVICE: Field = Field::new(
    "matchDevice",
    Value::List(&Value::Object(&Object {
        fields: &[&CLASS, &SUB_CLASS, &PROTOCOL, &LEVEL, &SEVERITY, &TAGS, &MESSAGE, &ACTION],
    })),
    "Devices by what they say of themselves. The rule with the most conditions decides; `Block` wins a tie.",
    "nodeSelector:\n  matchLabels:\n    kubearmor.io/hostname: \"*\"\ndevice:\n  matchDevice:\n  - class: HID\n    action: Audit",
    "device-fields",
);

static CLASS: Field = Field::new(
    "class",
    Value::Name(classes, Spelling::UncheckedOrNumber),
    "The class of USB devices by name in any letter case, or its number, decimal or with `0x`.",
    "nodeSelector:\n  matchLabels:\n    kubearmor.io/hostname: \"*\"\ndevice:\n  matchDevice:\n  - class: 0x08",
    "device-fields",
)
.demanded();

static SUB_CLASS: Field = Field::new(
    "subClass",
    Value::Number { least: None, most: None },
    "The number of the subclass, from 0 to 255.",
    "nodeSelector:\n  matchLabels:\n    kubearmor.io/hostname: \"*\"\ndevice:\n  matchDevice:\n  - class: HID\n    subClass: 1",
    "device-fields",
)
.or_else("any");

static PROTOCOL: Field = Field::new(
    "protocol",
    Value::Number { least: None, most: None },
    "The number of the protocol within the class, from 0 to 255.",
    "nodeSelector:\n  matchLabels:\n    kubearmor.io/hostname: \"*\"\ndevice:\n  matchDevice:\n  - class: HID\n    protocol: 2",
    "device-fields",
)
.or_else("any");

static LEVEL: Field = Field::new(
    "level",
    Value::Number { least: Some(1), most: None },
    "How many ports lie between the bus and the device, from 1 (plugged into the machine itself) to 255.",
    "nodeSelector:\n  matchLabels:\n    kubearmor.io/hostname: \"*\"\ndevice:\n  matchDevice:\n  - class: ALL\n    level: 2",
    "device-fields",
)
.or_else("any");

fn classes() -> Vec<String> {
    CLASSES.map(str::to_owned).into()
}
