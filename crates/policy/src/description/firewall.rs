//! Rules of network policies.

use super::{
    Field, Object, Spelling, Value,
    spec::{ACTION, MESSAGE, SEVERITY, TAGS},
};
use crate::{section::firewall::PROTOCOLS, spec::LEVELS};

pub(super) static INGRESS: Field = Field::new(
    "ingress",
    Value::List(&Value::Object(&Object {
        fields: &[&FROM, &IFACE, &PORTS, &LIMIT, &DURATION, &SEVERITY, &TAGS, &MESSAGE, &ACTION],
    })),
    "Rules on traffic that comes in. What a rule writes must all hold; a rule needs something to go by.",
    "nodeSelector:\n  matchLabels:\n    kubearmor.io/hostname: \"*\"\ningress:\n- ports:\n  - port: ssh",
    "firewall-block-ports",
);

pub(super) static EGRESS: Field = Field::new(
    "egress",
    Value::List(&Value::Object(&Object {
        fields: &[&TO, &IFACE, &PORTS, &LIMIT, &DURATION, &SEVERITY, &TAGS, &MESSAGE, &ACTION],
    })),
    "Rules on traffic that goes out.",
    "nodeSelector:\n  matchLabels:\n    kubearmor.io/hostname: \"*\"\negress:\n- to:\n  - ipBlock: {cidr: 203.0.113.0/24}",
    "firewall-block-addresses",
);

static FROM: Field = Field::new(
    "from",
    Value::List(&Value::Object(&Object { fields: &[&IP_BLOCK] })),
    "Where the traffic comes from: one of these.",
    "nodeSelector:\n  matchLabels:\n    kubearmor.io/hostname: \"*\"\ningress:\n- from:\n  - ipBlock: {cidr: 203.0.113.0/24}",
    "firewall-block-addresses",
)
.or_else("anywhere");

static TO: Field = Field::new(
    "to",
    Value::List(&Value::Object(&Object { fields: &[&IP_BLOCK] })),
    "Where the traffic goes: one of these.",
    "nodeSelector:\n  matchLabels:\n    kubearmor.io/hostname: \"*\"\negress:\n- to:\n  - ipBlock: {cidr: \"2001:db8::/32\"}",
    "firewall-block-addresses",
)
.or_else("anywhere");

static IP_BLOCK: Field = Field::new(
    "ipBlock",
    Value::Object(&Object { fields: &[&CIDR] }),
    "Addresses that begin alike.",
    "nodeSelector:\n  matchLabels:\n    kubearmor.io/hostname: \"*\"\ningress:\n- from:\n  - ipBlock: {cidr: 203.0.113.0/24}",
    "firewall-block-addresses",
)
.needed();

static CIDR: Field = Field::new(
    "cidr",
    Value::Text,
    "An IPv4 or IPv6 address with the length of the common prefix; without one, that address alone.",
    "nodeSelector:\n  matchLabels:\n    kubearmor.io/hostname: \"*\"\ningress:\n- from:\n  - ipBlock: {cidr: 10.0.0.0/8}",
    "firewall-block-addresses",
)
.needed();

static IFACE: Field = Field::new(
    "iface",
    Value::List(&Value::Text),
    "Through which of the node's interfaces: one of these.",
    "nodeSelector:\n  matchLabels:\n    kubearmor.io/hostname: \"*\"\ningress:\n- iface: [eth0]\n  ports:\n  - port: ssh",
    "firewall-block-ports",
)
.or_else("any");

static PORTS: Field = Field::new(
    "ports",
    Value::List(&Value::Object(&Object { fields: &[&PORT, &END_PORT, &PORT_PROTOCOL] })),
    "To which port: one of these.",
    "nodeSelector:\n  matchLabels:\n    kubearmor.io/hostname: \"*\"\ningress:\n- ports:\n  - port: \"8080\"\n  - port: https",
    "firewall-block-ports",
)
.or_else("any");

static PORT: Field = Field::new(
    "port",
    Value::NumberOrText(""),
    "A number from 1 to 65535, or the name of a service.",
    "nodeSelector:\n  matchLabels:\n    kubearmor.io/hostname: \"*\"\ningress:\n- ports:\n  - port: \"8080\"",
    "firewall-block-ports",
)
.demanded();

static END_PORT: Field = Field::new(
    "endPort",
    Value::Number { least: Some(1), most: Some(65535) },
    "The last port of a range that begins with `port`, which is then a number.",
    "nodeSelector:\n  matchLabels:\n    kubearmor.io/hostname: \"*\"\ningress:\n- ports:\n  - port: \"8000\"\n    endPort: 8999",
    "firewall-block-ports",
)
.or_else("`port` alone");

static PORT_PROTOCOL: Field = Field::new(
    "protocol",
    Value::Name(protocols, Spelling::AnyCase),
    "The protocol of the port.",
    "nodeSelector:\n  matchLabels:\n    kubearmor.io/hostname: \"*\"\ningress:\n- ports:\n  - port: \"53\"\n    protocol: UDP",
    "firewall-block-ports",
)
.or_else("`TCP`");

static LIMIT: Field = Field::new(
    "limit",
    Value::NumberOrText("^[0-9]+(KB|MB|GB|K|M|G)?$"),
    "How much data may pass in each `duration`; the action concerns what goes beyond. Units count in steps of 1,024; \
     without a unit it is gigabytes. The rule's other conditions then play no part.",
    "selector:\n  matchLabels:\n    app: web\negress:\n- limit: 100MB\n  duration: 1h",
    "firewall-quota-of-pods",
);

static DURATION: Field = Field::new(
    "duration",
    Value::Text,
    "The time after which the quota begins anew, as numbers with units: `30s`, `20m`, `1h30m`.",
    "selector:\n  matchLabels:\n    app: web\negress:\n- limit: 100MB\n  duration: 30s",
    "firewall-quota-of-pods",
);

fn protocols() -> Vec<String> {
    PROTOCOLS.map(|(name, _)| name.to_owned()).into()
}

pub(super) fn levels() -> Vec<String> {
    LEVELS.map(|(name, _)| name.to_owned()).into()
}
