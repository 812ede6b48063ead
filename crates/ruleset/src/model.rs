//! The types that the compilers, the enforcers and the explaining commands share.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use policy::{Action, Kind, Place};

/// A container or a host, as far as policies can select it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Workload {
    pub kind: WorkloadKind,
    /// The container's name (not its id), or the host's name.
    pub name: String,
    /// `container_namespace` for a container of a plain host that names none. Empty for hosts.
    pub namespace: String,
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkloadKind {
    Container,
    Host,
}

/// Default posture: what becomes of an access that no rule matches in a class that is in allow-list mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Posture {
    Allow,
    #[default]
    Audit,
    Block,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Postures {
    /// The process posture; resolved by the caller (it is the file posture unless one is set).
    pub process: Posture,
    pub file: Posture,
    /// Also governs DNS.
    pub network: Posture,
    pub capabilities: Posture,
}

/// The classes of objects. Each has its own allow-list mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    Process,
    File,
    Network,
    Dns,
    Capabilities,
    Syscalls,
    Presets,
}

/// All that governs one workload. Two workloads with equal rule sets share one kernel image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RuleSet {
    /// In a canonical order that does not depend on the order in which policies arrived. A rule's index is its id.
    pub rules: Vec<Rule>,
    pub postures: Postures,
    /// What would be denied is permitted and raises the alert of what would have denied it.
    pub audited: bool,
    /// Multi-call binaries of the root filesystem, by canonical path (such as `/bin/busybox`).
    pub multicall: BTreeSet<String>,
    /// Objects of `Block` rules that have other names too. [`crate::decide`] judges names and does not look at it.
    pub hard_linked: BTreeSet<HardLinked>,
}

/// A file with several hard links, one of which a rule means.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HardLinked {
    /// As the kernel keeps it: the major number above the lowest twenty bits.
    pub device: u32,
    pub inode: u64,
    /// The canonical path that the rule means.
    pub path: String,
}

/// Index into [`RuleSet::rules`].
pub type RuleId = u32;

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rule {
    pub tier: Tier,
    pub action: Action,
    pub object: Object,
    /// Executables, any of which must be the subject; `None` means every subject.
    pub source: Option<BTreeSet<SubjectPath>>,
    pub read_only: bool,
    pub owner_only: bool,
    pub terminal_only: bool,
    pub allowed_args: Option<BTreeSet<String>>,
    pub origin: Origin,
}

/// Tiers are decided from first to last; a `Block` of the cluster tier is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    Cluster,
    Namespaced,
}

/// The canonical path of an executable; for a multi-call binary the applet stands behind it: `/bin/busybox//cat`.
pub type SubjectPath = String;

/// What a rule protects.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Object {
    Process(PathSet),
    File(PathSet),
    /// Protocol or socket type.
    Network(policy::Protocol),
    /// A domain: its name and all names below it.
    Dns(String),
    /// The kernel's number.
    Capability(u8),
    /// What a preset watches for.
    Preset(policy::Preset),
    Syscall(SyscallObject),
}

/// System calls, made on a path or whatever they are made on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SyscallObject {
    /// Names as the kernel writes them.
    pub calls: BTreeSet<String>,
    /// With one, the rule concerns calls on these paths; without, the calls themselves.
    pub path: Option<PathSet>,
    /// Programs, any of which must be the subject, links included; `None` means every subject. Unlike those of other
    /// rules they may be directories.
    pub sources: Option<BTreeSet<policy::PathObject>>,
}

/// The paths a rule covers: what it names, and what its symbolic links lead to in this root filesystem.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathSet {
    /// As written; it alone gives the rule's specificity.
    pub named: policy::PathObject,
    /// Further objects by resolved links. A path may be virtual (`/bin/busybox//cat`): that applet only.
    pub linked: BTreeSet<policy::PathObject>,
}

/// Where a rule comes from: what an alert shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    pub kind: Kind,
    pub namespace: Option<String>,
    pub policy: String,
    pub place: Place,
    pub severity: Option<u8>,
    pub tags: Vec<String>,
    pub message: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.policy)?;
        if let Some(namespace) = &self.namespace {
            write!(f, " in {namespace}")?;
        }
        write!(f, ", {}", self.place)
    }
}

/// What the symbolic links of one root filesystem mean for rules. Filled by whoever may read that filesystem.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Links {
    /// Rule object (as in the policy) to the further objects it covers.
    pub objects: BTreeMap<policy::PathObject, BTreeSet<policy::PathObject>>,
    /// Link of a `fromSource` path to its target, virtual (`/bin/busybox//cat`) for an applet.
    pub sources: BTreeMap<String, BTreeSet<SubjectPath>>,
    /// Multi-call binaries by canonical path.
    pub multicall: BTreeSet<String>,
    /// Files that `Block` rules mean and that have further hard links. Multi-call binaries are not among them: their
    /// hard links are applets.
    pub hard_linked: BTreeSet<HardLinked>,
}

/// One attempt to do something, as [`crate::decide`] judges it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access<'a> {
    /// The acting process's executable: a [`SubjectPath`], or `None` if it has no name (any more).
    pub subject: Option<&'a [u8]>,
    pub object: AccessObject<'a>,
    /// The subject has a controlling terminal.
    pub terminal: bool,
    /// The subject's user owns the object (for a creation: the directory it is created in).
    pub owner: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AccessObject<'a> {
    /// `path` is a [`SubjectPath`], `None` for memory files and deleted ones. `args` without `argv[0]`.
    Execute {
        path: Option<&'a [u8]>,
        args: &'a [&'a [u8]],
    },
    /// A file or directory with a canonical path.
    File {
        path: &'a [u8],
        operation: FileOperation,
    },
    Socket(Socket),
    /// A query for a name: labels with dots between them, in any letter case, empty for the root and for a query that
    /// asks for no name. `None` if the query is written so that its name cannot be read.
    Dns(Option<&'a [u8]>),
    /// The kernel's number.
    Capability(u8),
    /// An attempt at what this preset watches for, beside whatever else it is an attempt at.
    Preset(policy::Preset),
    /// A call by its name; `path` where what is asked is whether a rule watches calls on that path.
    Syscall {
        name: &'a str,
        path: Option<&'a [u8]>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileOperation {
    /// Reading, listing a directory.
    Read,
    /// Every change: writing, truncating, creating, unlinking, renaming from or to, links, mode, owner, times, attributes.
    Change,
    /// Only looking at metadata: denied by an explicit rule that denies reading, never audited, never a matter of posture.
    Metadata,
}

/// A socket by the kernel's numbers. Families other than IPv4, IPv6 and packet are never judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Socket {
    pub family: u16,
    pub kind: u16,
    pub protocol: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    pub permitted: bool,
    /// What decided; `None` if nothing applied and the class is in deny-list mode.
    pub by: Option<DecidedBy>,
    /// What raises an alert, if anything does: the deciding rule or posture, or the most specific `Audit` rule.
    pub alert: Option<DecidedBy>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecidedBy {
    Rule(RuleId),
    Posture(Class),
}
