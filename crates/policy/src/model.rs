//! The validated model: every field of the four kinds, attributes already inherited, lists already expanded.

use std::{collections::BTreeMap, fmt};

/// The four kinds of the API group `security.kubearmor.com/v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `KubeArmorPolicy`, namespaced.
    Container,
    /// `KubeArmorClusterPolicy`, for containers of many namespaces; its `Block` is final.
    Cluster,
    /// `KubeArmorHostPolicy`.
    Host,
    /// `KubeArmorNetworkPolicy`, the firewall of a node.
    Network,
}

impl Kind {
    /// The name written in the `kind` field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "KubeArmorPolicy",
            Self::Cluster => "KubeArmorClusterPolicy",
            Self::Host => "KubeArmorHostPolicy",
            Self::Network => "KubeArmorNetworkPolicy",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What makes a policy unique: its kind, its namespace where the kind has one, its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyId {
    pub kind: Kind,
    /// `None` for kinds without a namespace, and for a namespaced policy that names none.
    pub namespace: Option<String>,
    pub name: String,
}

/// A policy that passed validation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    pub id: PolicyId,
    pub spec: Spec,
}

/// What a rule does with an access that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    Allow,
    Audit,
    Block,
}

/// The four attributes after inheritance: rule, else section, else spec, each on its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// 1 to 10; `None` if no level says.
    pub severity: Option<u8>,
    pub tags: Vec<String>,
    /// Empty if no level says.
    pub message: String,
    pub action: Action,
}

/// The body of a policy. Sections that a kind does not have are empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spec {
    /// `selector`, or `nodeSelector` for host and network policies.
    pub selector: Selector,
    /// The spec level's own attributes (presets and the firewall take them from here).
    pub attributes: Attributes,
    pub process: Vec<PathRule>,
    pub file: Vec<PathRule>,
    pub protocols: Vec<ProtocolRule>,
    pub dns: Vec<DnsRule>,
    pub capabilities: Vec<CapabilityRule>,
    pub syscalls: Vec<SyscallRule>,
    pub presets: Vec<PresetRule>,
    pub devices: Vec<DeviceRule>,
    /// Native `AppArmor` rules, passed through by that enforcer only.
    pub apparmor: Option<String>,
    pub firewall: Vec<FirewallRule>,
    /// What a network policy concerns; means nothing for other kinds.
    pub firewall_level: FirewallLevel,
}

/// Whom a policy concerns. All parts must hold; nothing at all selects the whole namespace (or cluster).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    /// Without `kubearmor.io/container.name`, which becomes [`Selector::containers`].
    pub match_labels: BTreeMap<String, String>,
    pub expressions: Vec<Expression>,
    /// The raw value of `kubearmor.io/container.name`: a name, a comma list, `[a, b]`, or a regular expression.
    pub containers: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expression {
    pub key: ExpressionKey,
    pub operator: Operator,
    /// `key=value` for labels, plain names for namespaces.
    pub values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExpressionKey {
    Label,
    Namespace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    In,
    NotIn,
}

/// Where in its document a rule stands, as users write it: `spec.file.matchPaths[2]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(pub String);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A rule of the `process` or `file` section.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathRule {
    pub place: Place,
    pub attributes: Attributes,
    pub object: PathObject,
    /// Executables of `fromSource`; empty means any subject.
    pub sources: Vec<String>,
    /// Always false in the process section.
    pub read_only: bool,
    pub owner_only: bool,
    /// `pts: false` was written: the rule bites only from a terminal.
    pub terminal_only: bool,
    /// `None` if not written. Always `None` in the file section.
    pub allowed_args: Option<Vec<String>>,
}

/// What a path rule names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathObject {
    Path(String),
    /// The last component of an executable's path (process section only).
    ExecName(String),
    /// `dir` ends in `/`, whatever the document wrote.
    Directory {
        dir: String,
        recursive: bool,
    },
    /// The pattern as written; its syntax is checked.
    Pattern(String),
}

/// A rule of `network.matchProtocols`, one per protocol of a comma list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProtocolRule {
    pub place: Place,
    pub attributes: Attributes,
    pub protocol: Protocol,
    pub sources: Vec<String>,
    pub terminal_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    Udp,
    Icmp,
    Icmpv6,
    Sctp,
    Raw,
    Stream,
    Dgram,
    Rdm,
    Seqpacket,
    Dccp,
    Packet,
    All,
}

/// A rule of `network.matchDNSQueries`, one per domain of a comma list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DnsRule {
    pub place: Place,
    pub attributes: Attributes,
    /// Lower case, without leading or trailing dots.
    pub domain: String,
    pub sources: Vec<String>,
}

/// A rule of `capabilities.matchCapabilities`, one per name of a comma list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CapabilityRule {
    pub place: Place,
    pub attributes: Attributes,
    pub capability: Capability,
    pub sources: Vec<String>,
}

/// A capability by the kernel's number (`CAP_CHOWN` is 0). Source: `include/uapi/linux/capability.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Capability(pub u8);

/// A rule of `syscalls`; its action is always `Audit`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SyscallRule {
    pub place: Place,
    pub attributes: Attributes,
    /// Names as the kernel writes them, lower case.
    pub syscalls: Vec<String>,
    /// `matchPaths`: the object's path; a directory if it ends in `/`.
    pub path: Option<String>,
    pub recursive: bool,
    pub sources: Vec<SyscallSource>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SyscallSource {
    Path(String),
    Directory { dir: String, recursive: bool },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PresetRule {
    pub place: Place,
    /// Severity, tags and message are the spec's. `Action::Audit`, or `Action::Block` for anything else.
    pub attributes: Attributes,
    pub preset: Preset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Preset {
    AnonymousMapExec,
    FilelessExec,
    ProtectEnv,
    Exec,
    ProtectProc,
}

/// A rule of `device.matchDevice` (host policies).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeviceRule {
    pub place: Place,
    pub attributes: Attributes,
    /// A class name, a decimal or `0x` number, or `ALL`.
    pub class: String,
    pub sub_class: Option<i32>,
    pub protocol: Option<i32>,
    pub level: Option<i32>,
}

/// One rule of a network policy's `ingress` or `egress`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FirewallRule {
    pub place: Place,
    pub attributes: Attributes,
    pub direction: Direction,
    /// CIDR blocks and single addresses; empty means any address.
    pub peers: Vec<String>,
    pub interfaces: Vec<String>,
    pub ports: Vec<FirewallPort>,
    /// A quota in bytes. Without a duration it sets none.
    pub limit: Option<u64>,
    /// The quota's period in seconds; zero if it never ends.
    pub duration: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    Ingress,
    Egress,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FirewallPort {
    /// A number or a service name. Other texts match no port.
    pub port: String,
    pub end_port: Option<u16>,
    pub protocol: FirewallProtocol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FirewallProtocol {
    Tcp,
    Udp,
    Sctp,
}

/// Whose traffic a network policy concerns, and what shares a quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FirewallLevel {
    /// Each selected pod has the quota for itself.
    #[default]
    Pod,
    /// All selected pods share the quota.
    Policy,
    /// The policy has a `nodeSelector`, or no selector: it concerns the node's own traffic.
    Node,
}
