//! The `network` and `capabilities` sections.

use super::{
    Field, Object, Spelling, Value,
    path::{FROM_SOURCE, PTS},
    spec::{ACTION, MESSAGE, SEVERITY, TAGS},
};
use crate::{Capability, Protocol};

pub(super) static NETWORK: Field = Field::new(
    "network",
    Value::Object(&Object {
        fields: &[&MATCH_PROTOCOLS, &MATCH_QUERIES, &SEVERITY, &TAGS, &MESSAGE, &ACTION],
    }),
    "Rules on sockets of IPv4, IPv6 and packets, checked whenever one is made, connected, bound, listened on, accepted \
     from, or sent to without connecting; and on DNS queries. Local sockets (AF_UNIX, AF_NETLINK) are never concerned.",
    "network:\n  matchProtocols:\n  - protocol: icmp",
    "net-all-block",
);

static MATCH_PROTOCOLS: Field = Field::new(
    "matchProtocols",
    Value::List(&Value::Object(&Object {
        fields: &[&PROTOCOL, &PTS, &FROM_SOURCE, &SEVERITY, &TAGS, &MESSAGE, &ACTION],
    })),
    "Protocols and types of sockets.",
    "network:\n  matchProtocols:\n  - protocol: tcp\n    fromSource:\n    - path: /usr/bin/curl",
    "net-tcp-block",
);

static PROTOCOL: Field = Field::new(
    "protocol",
    Value::Name(protocols, Spelling::CommaList),
    "A protocol or a type of socket, or several with commas between them, in any letter case. `tcp` includes MPTCP and \
     `udp` UDP-Lite; `raw` is every SOCK_RAW socket; `all` is everything.",
    "network:\n  matchProtocols:\n  - protocol: udp,icmp",
    "net-comma-list-and-relatives",
)
.demanded();

static MATCH_QUERIES: Field = Field::new(
    "matchDNSQueries",
    Value::List(&Value::Object(&Object {
        fields: &[&DOMAIN, &FROM_SOURCE, &SEVERITY, &TAGS, &MESSAGE, &ACTION],
    })),
    "Names that are asked for on port 53. Their default posture is that of the network.",
    "network:\n  matchDNSQueries:\n  - domain: example.com",
    "dns-block-name-and-below",
);

static DOMAIN: Field = Field::new(
    "domain",
    Value::Text,
    "The name, and with it all names below it, in any letter case; or several with commas between them.",
    "network:\n  matchDNSQueries:\n  - domain: example.com,example.net",
    "dns-block-name-and-below",
)
.demanded();

pub(super) static MATCH_CAPABILITIES: Field = Field::new(
    "matchCapabilities",
    Value::List(&Value::Object(&Object {
        fields: &[&CAPABILITY, &FROM_SOURCE, &SEVERITY, &TAGS, &MESSAGE, &ACTION],
    })),
    "Capabilities by name.",
    "capabilities:\n  matchCapabilities:\n  - capability: net_raw\n    fromSource:\n    - path: /usr/bin/ping",
    "cap-from-source-block",
);

static CAPABILITY: Field = Field::new(
    "capability",
    Value::Name(Capability::policy_names, Spelling::CommaList),
    "A capability, or several with commas between them, in any letter case, with or without `cap_`.",
    "capabilities:\n  matchCapabilities:\n  - capability: sys_admin,sys_ptrace",
    "cap-names-in-any-case",
)
.demanded();

fn protocols() -> Vec<String> {
    Protocol::ALL.map(|protocol| protocol.as_str().to_owned()).into()
}
